package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Peers that take turns are measured, each in so many parts, and one that fails does not
// keep the others from it.
func TestInTurns(t *testing.T) {
	m := matrixRun{
		options: options{warm: 10 * time.Millisecond, duration: 60 * time.Millisecond, turns: 3},
		peers:   []string{"pktsvc", "nobody", "pktsvc-observed", "pktsvc-async"},
		cells:   []cell{{Size: 16, Callers: 8, Conns: 2}},
		rounds:  2,
	}
	var out bytes.Buffer
	if err := m.measure(&out); err != nil {
		t.Fatal(err)
	}
	results, failures := 0, 0
	for lines := json.NewDecoder(&out); lines.More(); {
		var r Result
		if err := lines.Decode(&r); err != nil {
			t.Fatal(err)
		}
		switch {
		case r.Peer == "nobody" || r.Peer == "pktsvc-async":
			if r.Err == "" {
				t.Errorf("%+v", r)
			}
			failures++
		case r.Err != "" || r.Ops <= 0 || r.P50 <= 0 || r.P999 < r.P99 || r.ServerCPU <= 0:
			t.Errorf("%+v", r)
		default:
			results++
		}
	}
	if results != 4 || failures != 4 {
		t.Errorf("%d results and %d failures", results, failures)
	}
	m.cells[0].Pinned = true
	if err := m.measure(&out); err == nil {
		t.Error("turns on one CPU")
	}
}

// Callers count nothing while others have their turn.
func TestTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		phase.Store(warming)
		a := asking{failed: make(chan error, 1)}
		var calls, inPause atomic.Int64
		for range 3 {
			a.ask(func(req []byte) ([]byte, error) {
				time.Sleep(time.Millisecond)
				calls.Add(1)
				if phase.Load() == pausing {
					inPause.Add(1) // one that was under way
				}
				return req, nil
			}, 16)
		}
		var out strings.Builder
		lines, asks := io.Pipe()
		go func() {
			for _, line := range []string{"turn\n", "turn\n", "end\n"} {
				_, _ = io.WriteString(asks, line)
				time.Sleep(time.Minute)
			}
		}()
		took, err := a.takeTurns(options{duration: time.Second, turns: 4}, lines, &out)
		if err != nil || took != time.Second/2 {
			t.Errorf("%v, %v", took, err)
		}
		if want := "ready\n250000000\n500000000\n"; out.String() != want {
			t.Errorf("said %q", out.String())
		}
		before := calls.Load()
		time.Sleep(time.Minute)
		if calls.Load() != before || inPause.Load() > 9 {
			t.Errorf("%d calls in pauses, %d behind them", inPause.Load(), calls.Load()-before)
		}
		// What began in a turn and ended behind it does not count.
		if n := int64(a.shared.count()); n == 0 || n > calls.Load()-inPause.Load() {
			t.Errorf("%d of %d calls are counted, %d ended in pauses", n, calls.Load(), inPause.Load())
		}
		if slowest := a.shared.quantile(.999); slowest > 2000 {
			t.Errorf("a call took %v µs, so it has been paused", slowest)
		}
		a.turns.to(stopping)
		if err := a.wait(); err != nil {
			t.Error(err)
		}
	})
}

func TestCallersDoNotPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		phase.Store(warming)
		a := asking{failed: make(chan error, 1)}
		stuck := make(chan struct{})
		a.ask(func([]byte) ([]byte, error) { <-stuck; return nil, errors.New("too late") }, 16)
		synctest.Wait()
		if _, err := a.takeTurns(options{duration: time.Second, turns: 1}, strings.NewReader(""), new(bytes.Buffer)); err == nil {
			t.Error("it pauses")
		}
		close(stuck)
		_ = a.wait()
	})
}
