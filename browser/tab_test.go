package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long something may take to be shown.
const patience = 20 * time.Second

// tab is a tab of the browser with the page of one server. It takes note of all that should
// not be: errors, what the page's policy has refused, questions to other servers.
type tab struct {
	t   *testing.T
	ctx context.Context
	url string // of the admin server

	mu       sync.Mutex // guards all below
	problems []string
	allowed  []string // parts of problems that are meant to be
}

// open shows the page in a new tab, at a place such as #/rules. When the test ends nothing
// may have gone wrong in it.
func open(t *testing.T, url, place string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	b := &tab{t: t, ctx: ctx, url: url}
	if err := chromedp.Listen(ctx, b.event); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		cancel()
		for _, problem := range b.problems {
			if !slices.ContainsFunc(b.allowed, func(part string) bool { return strings.Contains(problem, part) }) {
				t.Errorf("in the browser: %s", problem)
			}
		}
	})
	b.size(1280, 900)
	b.scheme("light")
	b.do(chromedp.Navigate(url + "/" + place))
	return b
}

func (b *tab) event(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelVerbose {
			return
		}
		b.problems = append(b.problems, fmt.Sprintf("%s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL))
	case *runtime.EventConsoleAPICalled:
		text, _ := json.Marshal(e.Args) // only for people
		b.problems = append(b.problems, fmt.Sprintf("console.%s: %s", e.Type, text))
	case *runtime.EventExceptionThrown:
		b.problems = append(b.problems, fmt.Sprintf("exception: %+v", e.ExceptionDetails))
	case *network.EventRequestWillBeSent:
		if to := e.Request.URL; to != "about:blank" && !strings.HasPrefix(to, b.url+"/") && !strings.HasPrefix(to, "data:") {
			b.problems = append(b.problems, "a request to another server: "+to)
		}
	}
}

// allow lets a problem pass that the test is about.
func (b *tab) allow(part string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.allowed = append(b.allowed, part)
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%v; the page says:\n%s", err, b.text("body"))
	}
}

// click waits for what a selector finds, and clicks it.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector)))
}

// choose selects a value as a person does who has found it.
func (b *tab) choose(selector, value string) {
	b.t.Helper()
	b.do(chromedp.WaitVisible(chromedp.CSS(selector)))
	eval[bool](b, fmt.Sprintf(`(() => {
		const node = document.querySelector(%q);
		node.value = %q;
		return node.dispatchEvent(new Event('change', {bubbles: true}));
	})()`, selector, value))
}

// write replaces the text of a field, key by key.
func (b *tab) write(selector, text string) {
	b.t.Helper()
	b.do(chromedp.Clear(chromedp.CSS(selector)), chromedp.SendKeys(chromedp.CSS(selector), text))
}

// eval is the value of an expression. Unlike scripts of the page it is not bound by the
// page's policy.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%v in %.300s", err, expression)
	}
	return value
}

// text is what is seen of the first node that a selector finds.
func (b *tab) text(selector string) string {
	b.t.Helper()
	return eval[string](b, fmt.Sprintf(`document.querySelector(%q)?.innerText ?? ''`, selector))
}

// rows are the texts of the cells of a table whose caption begins so.
func (b *tab) rows(caption string) [][]string {
	b.t.Helper()
	return eval[[][]string](b, fmt.Sprintf(`[...document.querySelectorAll('table')].filter((table) => table.caption.textContent.startsWith(%q))
		.flatMap((table) => [...table.tBodies[0].rows].map((row) => [...row.cells].map((cell) => cell.innerText)))`, caption))
}

// until waits until something holds.
func (b *tab) until(what string, holds func() bool) {
	b.t.Helper()
	for began := time.Now(); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > patience {
			b.picture("failed-" + strings.ReplaceAll(b.t.Name(), "/", "-"))
			b.t.Fatalf("not within %v: %s; the page says:\n%s", patience, what, b.text("body"))
		}
	}
}

// shows waits until a node has a text.
func (b *tab) shows(selector, want string) {
	b.t.Helper()
	b.until(fmt.Sprintf("%s is %q", selector, want), func() bool { return b.text(selector) == want })
}

// size is that of the window, without scroll bars that take room.
func (b *tab) size(width, height int64) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, height))
}

// scheme is light or dark.
func (b *tab) scheme(name string) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// picture leaves a screenshot of the page, down to where it only goes on.
func (b *tab) picture(name string) {
	b.t.Helper()
	whole := true
	size := eval[[]float64](b, `[document.documentElement.clientWidth, document.documentElement.scrollHeight]`)
	shot, err := chromedp.Call(b.ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{
		CaptureBeyondViewport: &whole, Clip: &page.Viewport{Width: size[0], Height: min(size[1], 1800), Scale: 1},
	})
	if err == nil {
		err = os.WriteFile(screenshots(b.t, name), shot.Data, 0o644)
	}
	if err != nil {
		b.t.Error(err)
	}
}
