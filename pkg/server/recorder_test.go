package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/flight"
	"github.com/pktsvc/pktsvc/pkg/server"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// ask sends a request to the admin server.
func (r *running) ask(t *testing.T, method, path string, header ...string) (code int, body string) {
	t.Helper()
	req, err := http.NewRequest(method, r.admin.URL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

type requestList struct {
	Matched  int
	Requests []flight.Request
}

// What has ended is remembered, and what failed for longer.
func TestRequestsAreRemembered(t *testing.T) {
	r := start(t, nil)
	conn := r.connect(t)
	echo(t, conn, "x")
	if _, err := conn.Call(t.Context(), stream.Request{Type: 99}); err == nil {
		t.Fatal("type 99 is served")
	}
	for query, want := range map[string]string{
		"state=recent&outcome=ok": "Echo ok ", "state=notable": " rejected failed", "state=all&tag=3": " rejected failed",
		"state=all&type=Echo": "Echo ok ",
	} {
		var got requestList
		r.getJSON(t, "/requestz?"+query, &got)
		if got.Matched != 1 || len(got.Requests) != 1 {
			t.Errorf("%s: %+v", query, got)
			continue
		}
		if q := got.Requests[0]; q.Method+" "+q.Outcome+" "+q.Because != want {
			t.Errorf("%s: %+v, want %s", query, q, want)
		}
	}
}

// With the recorder off nothing is remembered, but what is in flight is known.
func TestRecorderOff(t *testing.T) {
	r := start(t, func(c *server.Config) { c.Recorder.Off = true })
	conn := r.connect(t)
	if _, err := conn.Submit(t.Context(), stream.Request{Type: typeBlock}); err != nil {
		t.Fatal(err)
	}
	wait(t, "the request is handled", r.entered)
	echo(t, conn, "x")
	var got requestList
	if r.getJSON(t, "/requestz?state=recent", &got); got.Matched != 0 {
		t.Errorf("%+v", got)
	}
	if r.getJSON(t, "/requestz", &got); got.Matched != 1 {
		t.Errorf("%+v", got)
	}
	close(r.gate)
}

// A tap shows requests as they end, and ends with the server.
func TestTapStreams(t *testing.T) {
	r := start(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.admin.URL()+"/tap?type=Echo&rate=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	conn := r.connect(t)
	if _, err := conn.Call(t.Context(), stream.Request{Type: 99}); err == nil {
		t.Fatal("type 99 is served")
	}
	for range 5 {
		echo(t, conn, "abc")
	}
	var shown []flight.Request
	dropped := uint64(0)
	lines := bufio.NewScanner(resp.Body)
	for dropped == 0 && lines.Scan() {
		if lines.Text() == "" {
			continue
		}
		var line struct {
			flight.Request
			Dropped uint64
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("%v in %s", err, lines.Text())
		}
		if dropped = line.Dropped; dropped == 0 {
			shown = append(shown, line.Request)
		}
	}
	if len(shown) != 1 || dropped != 4 || shown[0].Method != "Echo" || shown[0].Tag != 3 || shown[0].RequestBytes != 3 {
		t.Errorf("%d shown, %d dropped: %+v", len(shown), dropped, shown)
	}
	done := make(chan error, 1)
	go func() { done <- r.stop() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Errorf("the tap broke off: %v", err)
	}
	if err := wait(t, "the server ends", done); err != nil {
		t.Error(err)
	}
}

func TestTapsAreLimited(t *testing.T) {
	r := start(t, nil)
	for range flight.MaxTaps {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.admin.URL()+"/tap", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
	}
	if code, body := r.ask(t, http.MethodGet, "/tap"); code != http.StatusServiceUnavailable || !strings.Contains(body, "close one") {
		t.Errorf("%d %s", code, body)
	}
}

// Rules are added, listed and removed over HTTP, and log what they take.
func TestRulesOverHTTP(t *testing.T) {
	r := start(t, nil)
	var rule struct {
		ID           uint64
		Match        string
		Count, Taken uint64
	}
	code, body := r.ask(t, http.MethodPost, "/tracez?type=Echo&log=true&count=2&for=1m&payload=8")
	if err := json.Unmarshal([]byte(body), &rule); err != nil || code != http.StatusCreated || rule.Match != "type=0" || rule.Count != 2 {
		t.Fatalf("%d %s", code, body)
	}
	conn := r.connect(t)
	for range 3 {
		echo(t, conn, "x")
	}
	if lines := r.logs.FilterMessage("request matched").All(); len(lines) != 2 {
		t.Errorf("%d lines", len(lines))
	} else if f := lines[0].ContextMap(); f["tag"] != uint64(2) || f["method"] != "Echo" || f["payload"] != "redacted, 1 bytes" || f["because"] != fmt.Sprintf("rule %d", rule.ID) {
		t.Errorf("%v", f)
	}
	list := func() (ids []uint64) {
		var answer struct{ Rules []struct{ ID uint64 } }
		r.getJSON(t, "/tracez", &answer)
		for _, one := range answer.Rules {
			ids = append(ids, one.ID)
		}
		return ids
	}
	if ids := list(); len(ids) != 0 {
		t.Errorf("rules %v are left", ids)
	}
	if _, body = r.ask(t, http.MethodPost, "/tracez?conn=none"); json.Unmarshal([]byte(body), &rule) != nil {
		t.Fatal(body)
	}
	if ids := list(); len(ids) != 1 || ids[0] != rule.ID {
		t.Errorf("rules %v", ids)
	}
	remove := fmt.Sprintf("/tracez?id=%d", rule.ID)
	if code, body := r.ask(t, http.MethodDelete, remove); code != http.StatusOK {
		t.Errorf("%d %s", code, body)
	}
	for _, tt := range []struct {
		method, path, want string
		code               int
	}{
		{http.MethodDelete, remove, "no rule", http.StatusNotFound},
		{http.MethodDelete, "/tracez?id=x", "want the number of a rule", http.StatusBadRequest},
		{http.MethodPost, "/tracez?count=0", "whole number from 1", http.StatusBadRequest},
		{http.MethodPost, "/tracez?payload=1025", "from 1 to 1024", http.StatusBadRequest},
		{http.MethodPost, "/tracez?for=99h", "up to 24h", http.StatusBadRequest},
		{http.MethodPost, "/tracez?for=5", "with its unit", http.StatusBadRequest},
		{http.MethodPost, "/tracez?nonsense=1", "unknown parameter", http.StatusBadRequest},
		{http.MethodPut, "/tracez", "want GET, POST or DELETE", http.StatusMethodNotAllowed},
	} {
		if code, body := r.ask(t, tt.method, tt.path); code != tt.code || !strings.Contains(body, tt.want) {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, code, body)
		}
	}
	if code, _ := r.ask(t, http.MethodPost, "/tracez", "Sec-Fetch-Site", "cross-site"); code != http.StatusForbidden {
		t.Errorf("another site may add rules: %d", code)
	}
}

func TestSlowTypes(t *testing.T) {
	for text, want := range map[string]string{
		"Echo": "NAME=DURATION", "Echo=x": "NAME=DURATION", "Echo=-1s": "NAME=DURATION", "Nope=1s": "the name of a request type",
	} {
		cfg := server.Config{Recorder: server.RecorderConfig{SlowTypes: []string{text}}}
		if err := server.New(cfg, supply(newGated().service())).Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	r := start(t, func(c *server.Config) { c.Recorder.SlowTypes = []string{"Echo=1ns"} })
	echo(t, r.connect(t), "x")
	var got requestList
	if r.getJSON(t, "/requestz?state=notable", &got); got.Matched != 1 || got.Requests[0].Because != "slow" {
		t.Errorf("%+v", got)
	}
}

// /statz has what happened, by type.
func TestStatz(t *testing.T) {
	r := start(t, nil)
	conn := r.connect(t)
	for range 3 {
		echo(t, conn, "x")
	}
	if _, err := conn.Submit(t.Context(), stream.Request{Type: typeBlock}); err != nil {
		t.Fatal(err)
	}
	wait(t, "the request is handled", r.entered)
	defer close(r.gate)
	var got struct {
		Connections     int
		PacketsReceived uint64 `json:"packets_received"`
		Requests        []struct {
			Type, Role string
			Outcomes   map[string]uint64
			InFlight   int   `json:"in_flight"`
			SumUS      int64 `json:"sum_us"`
			Buckets    [][2]float64
		}
	}
	r.getJSON(t, "/statz", &got)
	if got.Connections != 1 || got.PacketsReceived != 4 || len(got.Requests) != 2 {
		t.Fatalf("%+v", got)
	}
	one, n := got.Requests[0], 0.0
	for _, b := range one.Buckets {
		n += b[1]
	}
	if one.Type != "Echo" || one.Role != "server" || one.Outcomes["ok"] != 3 || n != 3 || one.InFlight != 0 {
		t.Errorf("%+v", one)
	}
	if two := got.Requests[1]; two.Type != "Block" || two.Role != "server" || len(two.Outcomes)+len(two.Buckets) != 0 || two.InFlight != 1 {
		t.Errorf("%+v", two)
	}
}
