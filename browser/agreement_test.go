package browser

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/pktsvc/pktsvc/pkg/top"
)

// fetch is what a path of the admin server answers.
func (s *service) fetch(t *testing.T, path string) []byte {
	t.Helper()
	resp, err := http.Get(s.url + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", path, resp.Status, err)
	}
	return body
}

// The page and `pktsvc top` make the same figures of the same answers.
func TestFiguresAgreeWithTop(t *testing.T) {
	s := serve(t, nil)
	s.load(t, "--rate", "500", "--conns", "2", "--concurrency", "4")
	s.load(t, "--rate", "30", "--type", strconv.Itoa(typeFail))
	s.load(t, "--rate", "30", "--concurrency", "4", "--type", strconv.Itoa(typeSleep), "--data", "20")
	b := open(t, s.url, "")
	b.shows("#state", "Live")
	compare := func(what string, before, after []byte) {
		t.Helper()
		var first, second top.Sample
		for into, text := range map[*top.Totals][]byte{&first.Totals: before, &second.Totals: after} {
			if err := json.Unmarshal(text, into); err != nil {
				t.Fatal(err)
			}
		}
		want := top.Between(&first, &second)
		got := eval[struct {
			Restarted   bool
			All, Failed float64
			P50, P99    *float64
			Received    float64
		}](b, fmt.Sprintf(`import('/page/series.js').then(({between, figures}) => {
			const interval = between(%s, %s);
			return {...figures(interval, (row) => row.role === 'server'), restarted: interval.restarted, received: interval.received};
		})`, before, after))
		for name, pair := range map[string][2]*float64{
			"requests": {&got.All, &want.Requests}, "errors": {&got.Failed, &want.Errors}, "p50": {got.P50, want.P50US},
			"p99": {got.P99, want.P99US}, "received": {&got.Received, &want.BytesReceived},
		} {
			page, terminal := pair[0], pair[1]
			if page == nil || terminal == nil || math.Abs(*page-*terminal) > 0.005**terminal {
				t.Errorf("%s, %s: %v, top has %v", what, name, deref(page), deref(terminal))
			}
		}
		if got.Restarted != want.Restarted {
			t.Errorf("%s: restarted is %t, top has %t", what, got.Restarted, want.Restarted)
		}
	}
	var before []byte
	for range 3 {
		after := s.fetch(t, "/statz")
		if before != nil {
			compare("an interval", before, after)
		}
		before = after
		time.Sleep(time.Second)
	}
	var earlier map[string]any
	if err := json.Unmarshal(before, &earlier); err != nil {
		t.Fatal(err)
	}
	earlier["started"] = "2020-01-01T00:00:00Z"
	other, err := json.Marshal(earlier)
	if err != nil {
		t.Fatal(err)
	}
	compare("a restart", other, s.fetch(t, "/statz"))
}

func deref(v *float64) any {
	if v == nil {
		return nil
	}
	return *v
}

// The page and `pktsvc show` see the same stages.
func TestStagesAgreeWithShow(t *testing.T) {
	s := known(t, nil)
	s.ask(t, 3, typeEcho)
	s.load(t, "--type", strconv.Itoa(typeSleep), "--data", "60000", "--concurrency", "1")
	b := open(t, s.url, "#/requests?state=in-flight")
	b.shows(".count", "In flight: 1 request")
	for _, state := range []string{"in-flight", "notable", "recent"} {
		b.do(chromedp.Navigate(s.url + "/#/requests?state=" + state))
		b.until(state+" ones are listed", func() bool {
			return strings.HasPrefix(strings.ReplaceAll(strings.ToLower(b.text(".count")), " ", "-"), state) && len(b.rows("Requests")) > 0
		})
		name := b.rows("Requests")[0][0]
		b.click("tbody th a")
		b.until("the stages are shown", func() bool { return len(b.rows("Stages")) > 0 })
		out, err := command(t, nil, "show", "--admin", strings.TrimPrefix(s.url, "http://"), name).Output()
		if err != nil {
			t.Fatalf("show %s: %v", name, err)
		}
		_, stages, _ := strings.Cut(string(out), "\n\n") // below the facts
		var want []string
		for _, line := range strings.Split(strings.TrimSpace(stages), "\n") {
			mark := ""
			if strings.Contains(line, "most of it") {
				mark = " most of it"
			}
			want = append(want, strings.Fields(line)[0]+mark)
		}
		var got []string
		for _, row := range b.rows("Stages") {
			stage := strings.ReplaceAll(strings.ReplaceAll(row[0], " here", ""), " still", "")
			got = append(got, stage)
		}
		if strings.Join(got, ", ") != strings.Join(want, ", ") {
			t.Errorf("%s: the page has %q, show has %q", name, got, want)
		}
	}
}
