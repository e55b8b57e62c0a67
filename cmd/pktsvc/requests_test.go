package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/pktsvc/pktsvc/pkg/diag"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// The tools for requests, against a server as a process.
func TestRequestTools(t *testing.T) {
	p := startProcess(t)
	client := p.client(t, stream.ClientOptions{})
	ask := func(typ uint64, payload string) { // whether it is answered ok is up to the type
		_, _ = client.Call(t.Context(), stream.Request{Type: typ, Payload: []byte(payload)})
	}
	tool := func(want int, args ...string) (out, errs string) {
		t.Helper()
		out, errs, code := execute(t, "", append(args, "--admin", p.admin)...)
		if code != want {
			t.Errorf("%v: exit code %d, want %d: %s%s", args, code, want, out, errs)
		}
		return out, errs
	}
	contains := func(text string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("no %q in\n%s", w, text)
			}
		}
	}
	out, _ := tool(exitOK, "trace", "add", "type=Echo", "--count", "2", "--log")
	contains(out, "rule 1, until ", "or 2 requests")
	out, _ = tool(exitOK, "trace", "list")
	contains(out, "0 of 2", "record,span,log", "type=0")

	ask(diag.TypeEcho, "abc")
	ask(diag.TypeSleep, "260")
	ask(99, "")
	go ask(diag.TypeSleep, "60000")
	deadline := time.Now().Add(time.Minute)
	for { // until the last one is in flight
		if out, _ = tool(exitOK, "requests", "--in-flight"); strings.Contains(out, "running") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("in flight:\n%s", out)
		}
		time.Sleep(10 * time.Millisecond)
	}
	contains(out, "/5", "Sleep(5)", "handler")
	out, _ = tool(exitOK, "requests", "--notable")
	contains(out, "rule 1", "slow", "failed: request type 99", "rejected unknown_type")
	out, _ = tool(exitOK, "requests", "--json", "type=Sleep", "slower_than=250ms", "outcome=ok")
	var q struct {
		Conn, Role, Outcome, Started string
		Tag, Type                    uint64
		DurationUS                   int64            `json:"duration_us"`
		StagesUS                     map[string]int64 `json:"stages_us"`
		Because                      string           `json:"notable_because"`
		TraceID                      *string          `json:"trace_id"`
	}
	if err := json.Unmarshal([]byte(out), &q); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if _, err := time.Parse(time.RFC3339Nano, q.Started); err != nil {
		t.Error(err)
	}
	if q.Tag != 3 || q.Role != "server" || q.Because != "slow" || q.DurationUS < 250_000 || q.StagesUS["handler_done"] < 250_000 || q.TraceID == nil {
		t.Errorf("%+v", q)
	}
	out, _ = tool(exitOK, "show", q.Conn+"/3")
	contains(out, "server of Sleep(5)  ok", "← most of it", "notable   slow")
	out, _ = tool(exitOK, "show", q.Conn+"/5", "--json")
	contains(out, `"state":"running"`)

	out, _ = tool(exitOK, "trace", "rm", "1")
	contains(out, "rule 1 removed, it has taken 1 requests")
	for _, tt := range []struct {
		code int
		want string
		args []string
	}{
		{exitFailed, "in flight or remembered", []string{"show", q.Conn + "/999"}},
		{exitUsage, "want CONN/TAG", []string{"show", "tcp-1"}},
		{exitUsage, "want NAME=VALUE", []string{"requests", "tag"}},
		{exitUsage, "given twice", []string{"tap", "tag=1", "tag=2"}},
		{exitUsage, "unknown parameter", []string{"requests", "nonsense=1"}},
		{exitUsage, "one of CallBack", []string{"tap", "type=Nope"}},
		{exitFailed, "no rule 1", []string{"trace", "rm", "1"}},
		{exitUsage, "none of the others can be", []string{"requests", "--notable", "--recent"}},
	} {
		_, errs := tool(tt.code, tt.args...)
		contains(errs, tt.want)
	}
	if _, errs, code := execute(t, "", "requests", "--admin", strings.TrimPrefix(closedPort(t), "tcp://")); code != exitNoAnswer || !strings.Contains(errs, "cannot reach") {
		t.Errorf("%d %s", code, errs)
	}
}

// A tap shows what ends, and ends when it has shown enough.
func TestTapTool(t *testing.T) {
	p := startProcess(t)
	client := p.client(t, stream.ClientOptions{})
	type result struct {
		out, errs string
		code      int
	}
	done := make(chan result, 1)
	go func() {
		out, errs, code := execute(t, "", "tap", "--admin", p.admin, "--json", "--count", "3", "type=Echo", "--for", "1m")
		done <- result{out, errs, code}
	}()
	for {
		if _, err := client.Call(t.Context(), stream.Request{Type: diag.TypeEcho}); err != nil {
			t.Fatal(err)
		}
		select {
		case r := <-done:
			lines := strings.Split(strings.TrimSpace(r.out), "\n")
			if r.code != exitOK || len(lines) != 3 || !strings.Contains(lines[2], `"method":"Echo"`) {
				t.Errorf("%+v", r)
			}
			return
		case <-time.After(time.Millisecond):
		}
	}
}

func TestTapOutput(t *testing.T) {
	const input = `
{"conn":"c","tag":4,"type":5,"role":"server","state":"done","outcome":"ok","started":"2026-01-02T03:04:05Z"}

{"dropped":7}
{"conn":"c","tag":5,"type":5,"role":"server","state":"done","outcome":"ok","started":"2026-01-02T03:04:05Z"}
`
	var out, notes strings.Builder
	o := tapOutput{out: &out, notes: &notes}
	if err := o.copy(strings.NewReader(input)); exitCode(err) != exitNoAnswer || !strings.Contains(err.Error(), "has ended") {
		t.Error(err)
	}
	if got := out.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "c/5") || !strings.Contains(notes.String(), "7 more were left out") {
		t.Errorf("%s%s", got, notes.String())
	}
	o = tapOutput{out: &out, notes: &notes}
	if err := o.copy(strings.NewReader("<html>")); exitCode(err) != exitNoAnswer || !strings.Contains(err.Error(), "not a tap") {
		t.Error(err)
	}
}

func TestRequestQuery(t *testing.T) {
	for name, want := range map[string]string{
		"tcp-9/4711":   "channel=0&conn=tcp-9&state=all&tag=4711",
		"tcp-9/3/4711": "channel=3&conn=tcp-9&state=all&tag=4711",
		"a/b/7":        "channel=0&conn=a%2Fb&state=all&tag=7",
	} {
		q, err := requestQuery(name)
		if err != nil || q.Encode() != want {
			t.Errorf("%s: %s (%v), want %s", name, q.Encode(), err, want)
		}
	}
}
