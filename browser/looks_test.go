package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/pktsvc/pktsvc/pkg/server"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// busy is a service with some of everything.
func busy(t *testing.T) *service {
	t.Helper()
	s := serve(t, []string{"OTEL_TRACES_EXPORTER=console"}, "--tracing-url", "https://traces.example/{trace_id}", "--dashboards-url", "https://dashboards.example/")
	s.ask(t, 200, typeEcho)
	s.ask(t, 5, typeFail)
	s.ask(t, 4, typeSleep, "--data", "400")
	s.load(t, "--rate", "300", "--conns", "3", "--concurrency", "4")
	s.load(t, "--rate", "5", "--type", strconv.Itoa(typeFail))
	s.load(t, "--rate", "8", "--concurrency", "8", "--type", strconv.Itoa(typeSleep), "--data", "150")
	s.load(t, "--concurrency", "2", "--type", strconv.Itoa(typeSleep), "--data", "60000")
	return s
}

// places are all views, each with what has to be there before it is looked at.
var places = []struct{ name, place, ready string }{
	{"overview", "#/", `document.querySelector('#tile-rate').innerText.endsWith('/s')`},
	{"connections", "#/connections?state=all", `document.querySelectorAll('tbody tr').length > 4`},
	{"requests", "#/requests?state=notable&role=server", `document.querySelectorAll('tbody tr').length > 4`},
	{"request", "", `document.querySelectorAll('.waterfall tbody tr').length === 3`},
	{"rules", "#/rules?type=Echo", `document.querySelectorAll('tbody tr').length === 1`},
}

// Every view in light and dark, on a desk and on a phone: nothing is wider than the window,
// and nothing is found that keeps people from using it.
func TestLooks(t *testing.T) {
	s := busy(t)
	b := open(t, s.url, "#/rules")
	b.until("the form is there", func() bool { return b.text("h2") == "Add a rule" })
	b.choose("#rule-outcome", "lost") // it takes nothing, and so stays
	b.click("#add-rule button.primary")
	b.do(chromedp.Navigate(s.url + "/#/requests?state=notable&type=Sleep"))
	b.until("a slow request is listed", func() bool { return len(b.rows("Requests")) > 0 })
	slow := eval[string](b, `document.querySelector('tbody th a').getAttribute('href')`)
	b.do(chromedp.Navigate(s.url + "/#/"))
	if os.Getenv(screenshotsVariable) != "" {
		time.Sleep(20 * time.Second) // so that the charts of the pictures have something to show
	}
	for _, at := range places {
		if at.place == "" {
			at.place = slow
		}
		eval[string](b, fmt.Sprintf("location.hash = %q", at.place))
		b.until(at.name+" is ready", func() bool { return eval[bool](b, at.ready) })
		for _, width := range []int64{1280, 360} {
			b.size(width, 800)
			if wide := eval[float64](b, `document.documentElement.scrollWidth`); wide > float64(width) {
				t.Errorf("%s at %d px is %v px wide", at.name, width, wide)
			}
			for _, scheme := range []string{"light", "dark"} {
				b.scheme(scheme)
				time.Sleep(100 * time.Millisecond) // charts follow the size
				b.picture(fmt.Sprintf("%s-%s-%d", at.name, scheme, width))
				b.judge(fmt.Sprintf("%s, %s, %d px", at.name, scheme, width))
			}
		}
	}
}

// judge fails for all that axe finds, of all its rules.
func (b *tab) judge(what string) {
	b.t.Helper()
	if !eval[bool](b, `'axe' in window`) {
		axe, err := os.ReadFile("node_modules/axe-core/axe.min.js")
		if err != nil {
			b.t.Fatal(err)
		}
		eval[bool](b, string(axe)+"; true")
	}
	type violation struct {
		ID    string `json:"id"`
		Help  string `json:"help"`
		Nodes []struct {
			HTML           string `json:"html"`
			FailureSummary string `json:"failureSummary"`
		} `json:"nodes"`
	}
	for _, v := range eval[[]violation](b, `axe.run({resultTypes: ['violations']}).then((r) => r.violations)`) {
		node, _ := json.Marshal(v.Nodes[0]) // only for people
		b.t.Errorf("%s: %s: %s, at %d nodes, such as %s", what, v.ID, v.Help, len(v.Nodes), node)
	}
}

// The list of all paths can be read, too.
func TestIndexLooks(t *testing.T) {
	b := open(t, serve(t, nil).url, "index")
	b.allow("favicon.ico") // of a path that is no page
	b.until("the paths are listed", func() bool { return strings.Contains(b.text("dl"), "/requestz") })
	b.size(360, 800)
	if wide := eval[float64](b, `document.documentElement.scrollWidth`); wide > 360 {
		t.Errorf("it is %v px wide", wide)
	}
	b.picture("index")
	b.judge("the index")
	b.click(`a[href="connz"]`)
	b.until("a path is shown", func() bool { return strings.Contains(b.text("body"), `"connections": []`) })
}

// A tab that is not seen asks for nothing, and goes on when it is seen.
func TestHiddenTab(t *testing.T) {
	b := open(t, serve(t, nil).url, "#/requests")
	b.shows("#state", "Live")
	asked := func() int { return eval[int](b, `performance.getEntriesByType('resource').length`) }
	hide := func(hidden bool) {
		eval[bool](b, fmt.Sprintf(`Object.defineProperty(document, 'hidden', {value: %t, configurable: true}) && document.dispatchEvent(new Event('visibilitychange'))`, hidden))
	}
	hide(true)
	b.shows("#state", "Paused")
	time.Sleep(time.Second) // what was under way ends
	before := asked()
	time.Sleep(3 * time.Second)
	if now := asked(); now != before {
		t.Errorf("%d questions while hidden", now-before)
	}
	hide(false)
	b.shows("#state", "Live")
	b.until("it asks again", func() bool { return asked() > before })
}

// All can be done by keys: the first is a link over the navigation, and what has the focus
// is marked.
func TestKeys(t *testing.T) {
	b := open(t, known(t, nil).url, "#/requests?state=notable")
	b.until("requests are listed", func() bool { return len(b.rows("Requests")) == 8 })
	focus := func() string { return eval[string](b, `document.activeElement.innerText || document.activeElement.id`) }
	b.do(chromedp.KeyEvent("\t"))
	if got := focus(); got != "Skip to the content" {
		t.Errorf("the first stop is %q", got)
	}
	b.do(chromedp.KeyEvent("\r"))
	reached := false
	for range 40 {
		b.do(chromedp.KeyEvent("\t"))
		if outline := eval[string](b, `getComputedStyle(document.activeElement).outlineStyle`); outline == "none" {
			t.Errorf("the focus at %q is not seen", focus())
		}
		if reached = eval[bool](b, `document.activeElement.matches('tbody th a')`); reached {
			break
		}
	}
	if !reached {
		t.Fatal("no row is reached by the key Tab")
	}
	name := focus()
	time.Sleep(3 * time.Second) // the list is asked for anew meanwhile
	if got := focus(); got != name {
		t.Errorf("the focus was at %q and went to %q", name, got)
	}
	b.do(chromedp.KeyEvent("\r"))
	b.shows("h1", "Request "+name)
}

// A client that has agreed with the server on it shows where the time went at both ends.
func TestBothEnds(t *testing.T) {
	s := serve(t, nil)
	cfg := server.Default()
	cfg.Admin, cfg.Log.Level = "127.0.0.1:0", "error"
	client, err := server.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	calls, err := stream.NewClient(stream.DialNetwork("tcp", s.addr), stream.ClientOptions{Conn: stream.Options{Observer: client.Observer()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { calls.Close() })
	for range 2 { // the first one comes before the peers know each other
		if _, err := calls.Call(t.Context(), stream.Request{Type: typeSleep, Payload: []byte("300"), Label: "<b>not bold</b>"}); err != nil {
			t.Fatal(err)
		}
	}
	b := open(t, client.AdminURL(), "#/requests?state=notable")
	b.until("both are listed", func() bool { return len(b.rows("Requests")) == 2 })
	if eval[bool](b, `[...document.querySelectorAll('header nav a')].some((a) => a.innerText === 'Connections' && a.offsetParent)`) {
		t.Error("a client has no list of connections, but a link to it")
	}
	b.click("tbody th a")
	b.until("the stages are shown", func() bool { return len(b.rows("Stages")) == 6 })
	var got []string
	for _, row := range b.rows("Stages") {
		got = append(got, row[0])
	}
	if want := "queue here, write here, wire there and back, queue at the peer, handler at the peer most of it, deliver here"; strings.Join(got, ", ") != want {
		t.Errorf("the stages are %q", got)
	}
	if took := strings.TrimSuffix(b.rows("Stages")[4][1], " ms"); between(took, 300, 500) != nil {
		t.Errorf("the handler at the peer took %s", took)
	}
	if !strings.Contains(b.text(".facts"), "<b>not bold</b>") {
		t.Errorf("the label is not shown as it is: %s", b.text(".facts"))
	}
	b.picture("both-ends")
}
