package browser

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// Types of the diag service.
const (
	typeEcho  = 0
	typeFail  = 2
	typeSleep = 5
)

// known is a service that has answered 500 requests at once, has failed 5, and took 400 ms
// for 3, as its flight recorder calls slow.
func known(t *testing.T, env []string, flags ...string) *service {
	t.Helper()
	s := serve(t, env, flags...)
	s.ask(t, 500, typeEcho)
	s.ask(t, 5, typeFail)
	s.ask(t, 3, typeSleep, "--data", "400")
	return s
}

// The overview counts what was asked, by type.
func TestOverviewCounts(t *testing.T) {
	b := open(t, known(t, nil).url, "")
	b.shows("#tile-ended", "508")
	b.shows("#tile-failed", "5")
	b.shows("#state", "Live")
	byType := make(map[string][]string)
	for _, row := range b.rows("By type") {
		byType[row[0]] = row
	}
	for name, want := range map[string][2]string{"Echo": {"500", "0"}, "Fail": {"5", "5"}, "Sleep": {"3", "0"}} {
		if row := byType[name]; len(row) != 9 || row[1] != "server" || row[7] != want[0] || row[8] != want[1] {
			t.Errorf("%s: %q, want %q ended and failed", name, row, want)
		}
	}
	if p99 := byType["Sleep"][6]; !strings.HasSuffix(p99, " ms") || between(strings.TrimSuffix(p99, " ms"), 400, 600) != nil {
		t.Errorf("p99 of Sleep since the start: %s", p99)
	}
	b.choose("select", "client")
	b.shows("#tile-ended", "0")
}

// The charts show the rate and the latency of what goes on.
func TestOverviewShowsTheLoad(t *testing.T) {
	s := serve(t, nil)
	s.load(t, "--rate", "200", "--concurrency", "4")
	s.load(t, "--rate", "10", "--concurrency", "8", "--type", strconv.Itoa(typeSleep), "--data", "120")
	s.load(t, "--rate", "20", "--concurrency", "4", "--type", strconv.Itoa(typeFail))
	b := open(t, s.url, "")
	rate := func(selector string, low, high float64) func() bool {
		return func() bool { return between(strings.TrimSuffix(b.text(selector), "/s"), low, high) == nil }
	}
	b.until("230 requests a second", rate("#tile-rate", 150, 300))
	b.until("20 failures a second", rate("#tile-failing", 10, 30))
	b.until("the rate in the legend of the chart", rate(`dd[data-series="ok"]`, 130, 280))
	b.until("the failures in the legend of the chart", rate(`dd[data-series="rejected"]`, 10, 30))
	b.choose("select + select, label:nth-of-type(2) select", "Sleep")
	b.until("p99 of Sleep", func() bool {
		return between(strings.TrimSuffix(b.text(`dd[data-series="p99"]`), " ms"), 120, 200) == nil
	})
	over := eval[[]float64](b, `(() => { const at = document.querySelector('.u-over').getBoundingClientRect(); return [at.right - 2, at.y + 20]; })()`)
	b.do(chromedp.MouseEvent("mouseMoved", over[0], over[1]))
	b.until("all charts tell of the time under the pointer", func() bool {
		return eval[bool](b, `[...document.querySelectorAll('.chart h2')].every((title) => / at \d\d:\d\d:\d\d$/.test(title.textContent))`)
	})
	if charts := eval[int](b, `[...document.querySelectorAll('.plot canvas')].filter((c) => c.width > 100 && c.height > 100).length`); charts != 4 {
		t.Errorf("%d charts are drawn", charts)
	}
	if label := eval[string](b, `document.querySelectorAll('.plot')[1].getAttribute('aria-label')`); !strings.Contains(label, "Latency, the last minutes. Now: p50 1") {
		t.Errorf("the chart of latencies is described by %q", label)
	}
}

// between reads a number and says whether it is in a range.
func between(text string, low, high float64) error {
	n, err := strconv.ParseFloat(strings.ReplaceAll(text, ",", ""), 64)
	if err != nil || n < low || n > high {
		return fmt.Errorf("%q, want %v to %v", text, low, high)
	}
	return nil
}

// From the notable requests by a filter to one of them, and where its time went.
func TestFromNotableToOneRequest(t *testing.T) {
	s := known(t, []string{"OTEL_TRACES_EXPORTER=console", "OTEL_TRACES_SAMPLER=always_on"}, "--log-slow", "300ms", "--tracing-url", "https://traces.example/{trace_id}?from=page")
	b := open(t, s.url, "")
	b.click(`header nav a[href="#/requests"]`)
	b.shows(".count", "In flight: 0 requests")
	b.click(`a[data-state="notable"]`)
	b.shows(".count", "Notable: 8 requests")
	filtered := func(want int, holds func(row []string) bool) {
		t.Helper()
		b.until(fmt.Sprintf("%d rows are left", want), func() bool { return len(b.rows("Requests")) == want })
		for _, row := range b.rows("Requests") {
			if !holds(row) {
				t.Errorf("listed by the filter: %q", row)
			}
		}
	}
	b.choose("#requests-outcome", "failed")
	filtered(5, func(row []string) bool {
		return row[1] == "Fail (2)" && row[2] == "rejected: handler_error" && row[5] == "failed: asked to fail"
	})
	b.choose("#requests-outcome", "")
	b.write("#requests-slower_than", "300ms\r")
	filtered(3, func(row []string) bool { return row[1] == "Sleep (5)" && row[4] == "handler" && row[5] == "slow" })
	if place := eval[string](b, `location.hash`); place != "#/requests?state=notable&slower_than=300ms" {
		t.Errorf("the place is %s", place)
	}
	tag := strings.Split(b.rows("Requests")[1][0], "/")[1]
	b.write("#requests-tag", tag)
	b.click(".match button")
	filtered(1, func(row []string) bool { return strings.HasSuffix(row[0], "/"+tag) })

	name := b.rows("Requests")[0][0]
	b.click("tbody th a")
	b.shows("h1", "Request "+name)
	b.until("the stages are shown", func() bool { return len(b.rows("Stages")) == 3 })
	stages := b.rows("Stages")
	if stages[0][0] != "queue here" || stages[1][0] != "handler here most of it" || stages[2][0] != "write here" {
		t.Errorf("the stages: %q", stages)
	}
	if took := strings.TrimSuffix(stages[1][1], " ms"); between(took, 400, 600) != nil {
		t.Errorf("the handler took %s", stages[1][1])
	}
	if share := eval[float64](b, `(() => {
		const bar = document.querySelector('[data-stage="handler"] .lane span').getBoundingClientRect();
		return bar.width / document.querySelector('.lane').getBoundingClientRect().width;
	})()`); share < 0.9 || share > 1 {
		t.Errorf("the bar of the handler takes %v of the width", share)
	}
	link := eval[string](b, `document.querySelector('.facts a[target]')?.href ?? ''`)
	if id := strings.TrimSuffix(strings.TrimPrefix(link, "https://traces.example/"), "?from=page"); len(id) != 32 {
		t.Errorf("the link to the trace is %q", link)
	}
	b.until("what was logged is shown", func() bool {
		lines := b.rows("Logged")
		return len(lines) == 1 && lines[0][1] == "warn" && lines[0][2] == "slow request" && strings.Contains(lines[0][3], "duration=4")
	})
	b.do(chromedp.NavigateBack())
	filtered(1, func(row []string) bool { return row[0] == name })
}

// A filter that cannot be read is told where it stands, in the server's words.
func TestWrongFilter(t *testing.T) {
	b := open(t, serve(t, nil).url, "#/requests?state=recent&slower_than=5")
	b.until("the problem is told", func() bool {
		return strings.Contains(b.text("p.problem"), `slower_than="5", want a duration such as 100ms`)
	})
	b.allow("400 (Bad Request)")
	b.click(`.match button[type="button"]`)
	b.shows(".count", "Recent: 0 requests")
}

// What is in flight is seen, and what peers have chosen is text.
func TestInFlightAndConnections(t *testing.T) {
	s := serve(t, nil)
	s.load(t, "--type", strconv.Itoa(typeSleep), "--data", "60000", "--concurrency", "2")
	b := open(t, s.url, "#/requests?state=in-flight&type=Sleep")
	b.shows(".count", "In flight: 2 requests")
	b.click("tbody th a")
	b.until("it runs still", func() bool {
		rows := b.rows("Stages")
		return len(rows) == 2 && rows[1][0] == "handler here still most of it"
	})
	b.click(`header nav a[href="#/connections"]`)
	b.until("its connection is listed", func() bool {
		rows := b.rows("Connections")
		return len(rows) == 1 && rows[0][2] == "open" && rows[0][4] == "2" && rows[0][6] == "2"
	})
	s.ask(t, 7, typeEcho, "--concurrency", "1")
	b.click(`a[data-state="all"]`)
	b.click(`thead a[href*="sort=requests"]`)
	b.until("the closed one comes first, having asked more", func() bool {
		rows := b.rows("Connections")
		return len(rows) == 2 && rows[0][4] == "7" && rows[0][2] == "shutdown" && rows[1][4] == "2"
	})
	if sorted := eval[string](b, `document.querySelector('th[aria-sort]').innerText`); !strings.HasPrefix(sorted, "Requests") {
		t.Errorf("sorted by %s", sorted)
	}
}

// The embedded library is the one of the registry.
func TestUPlotIsThePublishedOne(t *testing.T) {
	for embedded, published := range map[string]string{
		"uPlot.iife.min.js": "dist/uPlot.iife.min.js", "uPlot.min.css": "dist/uPlot.min.css", "LICENSE": "LICENSE",
	} {
		got, err := os.ReadFile("../pkg/server/page/static/uplot/" + embedded)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile("node_modules/uplot/" + published)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s differs", embedded)
		}
	}
}
