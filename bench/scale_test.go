package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// quickScale is all of -scale with few and small steps.
func quickScale(t *testing.T) scaleRun {
	t.Helper()
	m := scaleRun{
		options: options{warm: 5 * time.Millisecond, duration: 100 * time.Millisecond},
		peers:   []string{"pktsvc", base}, rounds: 1,
		idle: []int{20, 60}, storm: 80, requests: 2000, out: filepath.Join(t.TempDir(), "scale.jsonl"),
	}
	m.parts = []string{partIdle, partStorm, partAge}
	for _, c := range growthCurves {
		c.xs = c.xs[:2]
		// With the race detector a call among 4,096 can take longer than the time that is
		// counted, and then none would have been completed in it.
		whole := c.shape
		c.shape = func(x int) shape {
			s := whole(x)
			s.Callers = min(s.Callers, 64)
			return s
		}
		m.curves, m.parts = append(m.curves, c), append(m.parts, c.part)
	}
	return m
}

// All parts run for the peers and are reported.
func TestScale(t *testing.T) {
	m := quickScale(t)
	if err := m.run(); err != nil {
		t.Fatal(err)
	}
	all, err := readPoints([]string{m.out})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all.failed() {
		t.Errorf("%s of %s failed: %s", p.Part, p.Peer, p.Err)
	}
	for _, peer := range m.peers {
		for _, n := range append([]int{0}, m.idle...) {
			ps := all.of(partIdle, peer, n)
			if len(ps) != 1 || ps[0].Ops <= 0 || ps[0].P99 <= 0 || ps[0].Memory.Goroutines <= n || ps[0].Memory.Heap <= 0 {
				t.Errorf("%s beside %d idle connections: %+v", peer, n, ps)
			}
		}
		if ps := all.of(partIdleGone, peer, 0); len(ps) != 1 || ps[0].Ops <= 0 {
			t.Errorf("%s when idle connections have gone: %+v", peer, ps)
		}
		for _, ps := range []points{all.of(partStorm, peer, m.storm), all.of(partStormBusy, peer, m.storm)} {
			if len(ps) != storms || ps.median(func(p Point) float64 { return p.Opened }) <= 0 {
				t.Errorf("%s in a storm: %+v", peer, ps)
			}
		}
		for _, c := range m.curves {
			for _, x := range c.xs {
				if ps := all.of(c.part, peer, x); len(ps) != 1 || ps[0].Ops <= 0 || cpuOf(ps[0]) <= 0 {
					t.Errorf("%s, %s %d: %+v", peer, c.part, x, ps)
				}
			}
		}
	}
	for _, x := range []int{100, 1000, 2000} {
		if ps := all.of(partAge, agedPeer, x); len(ps) != 1 || ps[0].Ops <= 0 || ps[0].Memory.Heap <= 0 {
			t.Errorf("%d requests: %+v", x, ps)
		}
	}
	text := scaleReport(t, m.out)
	for _, want := range []string{"- pktsvc: **", "| grpc | 60 |", "## Accept storm", "### 16 B, more and more callers", "| 2,000 |", "-parts age -requests 1000000000"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// scaleReport returns the text, of which every table has whole rows, and every plot a file.
func scaleReport(t *testing.T, file string) string {
	t.Helper()
	dir := t.TempDir()
	if err := writeScaleReport(file, dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "scale.md"))
	if err != nil {
		t.Fatal(err)
	}
	columns := 0
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "NaN") || strings.Contains(line, "Inf") {
			t.Errorf("no figure: %s", line)
		}
		if _, image, ok := strings.Cut(line, "]("); ok && strings.HasPrefix(line, "![") {
			svg, err := os.ReadFile(filepath.Join(dir, strings.TrimSuffix(strings.TrimSpace(image), ")")))
			if err != nil || !bytes.Contains(svg, []byte("<svg")) {
				t.Errorf("the plot of %s: %v", line, err)
			}
		}
		if !strings.HasPrefix(line, "|") {
			columns = 0
			continue
		}
		if columns == 0 {
			columns = strings.Count(line, "|")
		}
		if n := strings.Count(line, "|"); n != columns {
			t.Errorf("%d separators in a table that has %d: %s", n, columns, line)
		}
	}
	return string(text)
}

// Slopes and ratios are those of a round, and what failed is told, with what was
// measured before it.
func TestScaleReport(t *testing.T) {
	var lines bytes.Buffer
	add := func(p Point) {
		if err := json.NewEncoder(&lines).Encode(p); err != nil {
			t.Fatal(err)
		}
	}
	for round, start := range []float64{10, 30, 80} {
		for peer, kib := range map[string]float64{"pktsvc": 4, base: 16} {
			for _, n := range []int{0, 1024, 3072} {
				add(Point{Part: partIdle, Peer: peer, Round: round, X: n, figures: figures{Ops: 1000*start - float64(n), P99: start},
					Memory: memory{Resident: start + kib*float64(n)/1024}})
			}
		}
	}
	add(Point{Part: partAge, Peer: agedPeer, X: 100, figures: figures{Ops: 1e6}})
	add(Point{Part: "payload", Peer: base, X: 16, figures: figures{Ops: 1000}})
	add(Point{Part: "payload", Peer: "pktsvc", X: 1 << 20, Err: "it does | not\nwork"})
	file := filepath.Join(t.TempDir(), "scale.jsonl")
	if err := os.WriteFile(file, lines.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	text := scaleReport(t, file)
	for _, want := range []string{
		"- pktsvc: **4.0 KiB** for each, from 1,024 to 3,072: within the goal of 8 KiB", "- grpc: **16.0 KiB**",
		"| pktsvc | 1,024 | 28976 | 0.97 |", "take 17 minutes more", "| payload | pktsvc | 0 | 1,048,576 | it does / not work |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if err := os.WriteFile(file, []byte(`{"peer":"grpc","ops_s":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeScaleReport(file, t.TempDir()); err == nil {
		t.Error("a report on results of something else")
	}
}

// A task that fails is a result, too: it does not end the run.
func TestScaleTaskFails(t *testing.T) {
	for _, of := range []struct {
		task task
		want string
	}{
		{task{Part: partIdle, Peer: "rawtcp"}, "by the thousand"},
		{task{Part: partIdle, Peer: "none"}, `no peer "none"`},
		{task{Part: partAge, Peer: "pktsvc", X: 100}, "without callers"},
		{task{Part: "odd", Peer: "pktsvc"}, `no part "odd"`},
	} {
		points := of.task.inProcess()
		if len(points) != 1 || !strings.Contains(points[0].Err, of.want) {
			t.Errorf("%+v: %+v; want %q", of.task, points, of.want)
		}
	}
	m := scaleRun{parts: []string{"odd"}}
	if err := m.run(); err == nil {
		t.Error("a run of nothing")
	}
}

// Callers have all connections between them, also where they are fewer.
func TestShape(t *testing.T) {
	for _, s := range []shape{{Conns: 1, Callers: 5}, {Conns: 5, Callers: 5}, {Conns: 7, Callers: 3}, {Conns: 3, Callers: 7}} {
		asked := make(map[int]int)
		links := make([]link, s.Conns)
		for i := range links {
			links[i].newCall = func() Call {
				return func([]byte) ([]byte, error) { asked[i]++; return nil, nil }
			}
		}
		for i := range s.Callers {
			call := s.calls(links, i)
			for range s.Conns {
				_, _ = call(nil)
			}
		}
		if len(asked) != s.Conns {
			t.Errorf("%+v: only %d connections are asked", s, len(asked))
		}
	}
}

func TestSideBySide(t *testing.T) {
	var calls atomic.Int64
	if err := sideBySide(1000, func(int) error { calls.Add(1); return nil }); err != nil || calls.Load() != 1000 {
		t.Errorf("%d calls, %v", calls.Load(), err)
	}
	failure := errors.New("no more")
	if err := sideBySide(1_000_000, func(i int) error {
		if i == 500 {
			return failure
		}
		return nil
	}); !errors.Is(err, failure) || !strings.Contains(err.Error(), "501 of 1000000") {
		t.Errorf("%v", err)
	}
}
