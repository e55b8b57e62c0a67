package main

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pktsvc/pktsvc/pkg/diag"
	"github.com/pktsvc/pktsvc/pkg/stream"
	"github.com/pktsvc/pktsvc/pkg/top"
)

func TestTopUsage(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"--interval 0s", "--interval is 0s, want at least 10ms"},
		{"--interval -1s", "--interval is -1s"},
		{"--count -1", "--count is -1"},
		{"--limit -1", "--limit is -1"},
		{"--sort speed", `--sort: "speed" is no order, want one of rate, errors`},
		{"--admin nonsense", "want HOST:PORT"},
		{"Echo", `unknown command "Echo"`},
	} {
		_, errs, code := execute(t, "", append([]string{"top"}, strings.Fields(tt.args)...)...)
		if code != exitUsage || !strings.Contains(errs, tt.want) {
			t.Errorf("%s: exit code %d, %s, want %s", tt.args, code, errs, tt.want)
		}
	}
	_, errs, code := execute(t, "", "top", "--admin", strings.TrimPrefix(closedPort(t), "tcp://"))
	if code != exitNoAnswer || !strings.Contains(errs, "cannot reach the admin server") {
		t.Errorf("nobody listens: exit code %d, %s", code, errs)
	}
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") }))
	defer other.Close()
	_, errs, code = execute(t, "", "top", "--admin", other.URL)
	if code != exitNoAnswer || !strings.Contains(errs, "not one of pktsvc") {
		t.Errorf("another server: exit code %d, %s", code, errs)
	}
}

// The figures of a server as a process, for requests whose number is known.
func TestTopFigures(t *testing.T) {
	p := startProcess(t)
	ctx := withTimeout(t)
	v := liveView{admin: admin{at: p.admin}}
	first, second := p.client(t, stream.ClientOptions{}), p.client(t, stream.ClientOptions{})
	ask := func(c *stream.Client, typ uint64, payload string, times int) {
		for range times { // whether it is answered ok is up to the type
			_, _ = c.Call(ctx, stream.Request{Type: typ, Payload: []byte(payload)})
		}
	}
	sample := func() *top.Sample {
		t.Helper()
		s, err := v.poll(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	ask(first, diag.TypeEcho, "", 3)
	before := sample()
	ask(first, diag.TypeEcho, "hello", 40)
	ask(first, diag.TypeFail, "", 7)
	ask(second, diag.TypeSleep, "20", 5)
	var after *top.Sample
	var f *top.Figures
	for f == nil || f.Requests*f.Seconds < 51.5 { // the last ones are counted shortly after their answers
		if ctx.Err() != nil {
			t.Fatalf("%+v", f)
		}
		after = sample()
		f = top.Between(before, after)
	}
	f.Sort(top.ByRate, false)
	n := func(rate float64) int { return int(math.Round(rate * f.Seconds)) }
	var got []string
	for _, typ := range f.Types {
		got = append(got, fmt.Sprintf("%s %s %d %d", typ.Type, typ.Role, n(typ.PerS), n(typ.Errors)))
	}
	if want := "Echo server 40 0, Fail server 7 7, Sleep server 5 0"; strings.Join(got, ", ") != want {
		t.Errorf("%q, want %s", got, want)
	}
	if f.Restarted || n(f.Errors) != 7 || f.Connections != 2 || f.BytesReceived <= 0 || f.BytesSent <= 0 || len(f.Conns) != 2 {
		t.Errorf("%+v", f)
	}
	f.Sort(top.ByP99, false)
	if slow := f.Types[0]; slow.Type != "Sleep" || *slow.P50US < 20_000 || *slow.P99US < *slow.P50US || *slow.MeanUS < 20_000 {
		t.Errorf("%+v is the slowest", slow)
	}
	f.Sort(top.ByName, false)
	seconds := after.Conns.Now.Sub(before.Conns.Now).Seconds() // the other page is asked for a little earlier
	for i, want := range []float64{47, 5} {
		if c := f.Conns[i]; math.Round(c.Requests*seconds) != want || c.Conn != fmt.Sprintf("tcp-%d", i+1) || c.BytesReceived <= 0 {
			t.Errorf("%+v, want %v requests", c, want)
		}
	}
}

// What the command writes while there is load.
func TestTopWithoutTerminal(t *testing.T) {
	p := startProcess(t)
	client := p.client(t, stream.ClientOptions{})
	busy := func(args ...string) string {
		t.Helper()
		type result struct {
			out, errs string
			code      int
		}
		done := make(chan result, 1)
		go func() {
			out, errs, code := execute(t, "", append([]string{"top", "--admin", p.admin, "--interval", "100ms"}, args...)...)
			done <- result{out, errs, code}
		}()
		for {
			if _, err := client.Call(t.Context(), stream.Request{Type: diag.TypeEcho}); err != nil {
				t.Fatal(err)
			}
			select {
			case r := <-done:
				if r.code != exitOK {
					t.Errorf("%v: exit code %d, %s", args, r.code, r.errs)
				}
				return r.out
			default:
			}
		}
	}
	lines := strings.Split(strings.TrimSpace(busy("--json", "--count", "3")), "\n")
	if len(lines) != 3 {
		t.Fatalf("%q, want 3 lines", lines)
	}
	for _, line := range lines {
		var v struct {
			Seconds  float64 `json:"seconds"`
			Requests float64 `json:"requests_per_s"`
			Types    []struct {
				Type  string
				PerS  float64 `json:"per_s"`
				P99US float64 `json:"p99_us"`
			}
			Conns []struct {
				Conn     string
				Requests float64 `json:"requests_per_s"`
			}
		}
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if v.Seconds <= 0 || v.Requests <= 0 || len(v.Types) != 1 || v.Types[0].Type != "Echo" || v.Types[0].PerS <= 0 || v.Types[0].P99US <= 0 ||
			len(v.Conns) != 1 || v.Conns[0].Conn != "tcp-1" || v.Conns[0].Requests <= 0 {
			t.Errorf("%s", line)
		}
	}
	out := busy("--count", "2")
	if strings.Count(out, "TYPE") != 2 || strings.Count(out, "\nEcho") != 2 || strings.Count(out, "\ntcp-1 ") != 2 || strings.Contains(out, "\x1b") {
		t.Errorf("%s", out)
	}
	if out = busy("--count", "1", "--limit", "0"); strings.Count(out, "… 1 more") != 2 {
		t.Errorf("%s", out)
	}
}

// A server that breaks off, answers with an error, and comes back as a new one.
func TestTopSurvives(t *testing.T) {
	var mu sync.Mutex
	polls := 0
	begun := time.Now().Add(-time.Hour)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		now := begun.Add(time.Duration(polls) * time.Second).Format(time.RFC3339Nano)
		if r.URL.Path == "/connz" {
			fmt.Fprintf(w, `{"now":%q,"connections":[]}`, now)
			return
		}
		polls++
		requests := 100 * polls
		started := begun
		switch polls {
		case 2:
			panic(http.ErrAbortHandler)
		case 3:
			http.Error(w, "starting", http.StatusServiceUnavailable)
			return
		case 5:
			started, requests = begun.Add(3500*time.Millisecond), 5
		}
		fmt.Fprintf(w, `{"now":%q,"started":%q,"requests":[{"type":"Echo","role":"server","outcomes":{"ok":%d}}]}`,
			begun.Add(time.Duration(polls-1)*time.Second).Format(time.RFC3339Nano), started.Format(time.RFC3339Nano), requests)
	}))
	defer server.Close()
	out, errs, code := execute(t, "", "top", "--admin", server.URL, "--interval", "10ms", "--count", "4", "--json")
	var got []string
	for line := range strings.Lines(out) {
		var v top.Interval
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if v.Figures == nil {
			got = append(got, v.Error)
		} else {
			got = append(got, fmt.Sprintf("%v in %vs %t", v.Requests, v.Seconds, v.Restarted))
		}
	}
	if code != exitOK || len(got) != 4 || !strings.Contains(got[0], "cannot reach the admin server") || !strings.Contains(got[1], "503 Service Unavailable: starting") ||
		got[2] != "100 in 3s false" || got[3] != "10 in 0.5s true" {
		t.Errorf("exit code %d, %s\n%q", code, errs, got)
	}
}

func TestKeys(t *testing.T) {
	for typed, want := range map[string]string{
		"q":                        "q",
		"t4?":                      "t4?",
		"\x03":                     "\x03",
		"\x1b[A\x1b[B\x1b[C\x1b[D": "pnnp",
		"\x1bOA\x1bOB":             "pn",
		"\x1b[1;5Cq":               "nq",
		"\x1b[3~\x1b[15~\x1b[Hr":   "r", // delete, F5, home
		"\x1bq":                    "q",
		"\x1b\x1b[A":               "p",
		"\x1b[\x1b[Ax":             "px",
		"\x1b[\x03":                "\x03",
	} {
		var k keys
		got := ""
		for _, b := range []byte(typed) {
			if key, ok := k.next(b); ok {
				got += string(key)
			}
		}
		if got != want {
			t.Errorf("%q: %q, want %q", typed, got, want)
		}
	}
}
