package main

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
)

// A peer that is switched has two results of each round, and what it does while it is
// observed costs nothing while it is not.
func TestSwitched(t *testing.T) {
	m := matrixRun{
		options: options{switched: true, turns: 10, warm: 10 * time.Millisecond, duration: 50 * time.Millisecond},
		peers:   []string{"pktsvc-traced", "nobody", "pktsvc-observed-async", "pktsvc-observed-inline"},
		cells:   []cell{{Size: 16, Callers: 8, Conns: 2}},
		rounds:  2,
	}
	var out bytes.Buffer
	if err := m.measure(&out); err != nil {
		t.Fatal(err)
	}
	by := make(map[string]map[int]Result)
	for lines := json.NewDecoder(&out); lines.More(); {
		var r Result
		if err := lines.Decode(&r); err != nil {
			t.Fatal(err)
		}
		if by[r.Peer] == nil {
			by[r.Peer] = make(map[int]Result)
		}
		if _, twice := by[r.Peer][r.Round]; twice {
			t.Errorf("%s has two results of round %d", r.Peer, r.Round)
		}
		by[r.Peer][r.Round] = r
	}
	for _, peer := range m.peers {
		if len(by[peer]) != m.rounds {
			t.Errorf("%s has %d rounds", peer, len(by[peer]))
		}
	}
	off := map[string]string{"pktsvc-traced": "pktsvc", "pktsvc-observed-inline": "pktsvc-inline"}
	for _, peer := range m.peers {
		for round, on := range by[peer] {
			base := by[off[peer]][round]
			switch {
			case off[peer] == "":
				if on.Err == "" {
					t.Errorf("%s was switched: %+v", peer, on)
				}
			case on.Err != "" || base.Err != "" || on.Ops <= 0 || base.Ops <= 0 || on.P50 <= 0 || on.ServerCPU <= 0:
				t.Errorf("%+v without, %+v", base, on)
			case peer == "pktsvc-traced" && on.ClientAllocs < base.ClientAllocs+.05:
				t.Errorf("%.3f allocations of a call traced, %.3f off", on.ClientAllocs, base.ClientAllocs)
			}
		}
	}
	if _, err := lookupSwitched("pktsvc"); err == nil {
		t.Error("a peer that is not observed can be switched")
	}
}

// What is used evenly in a longer time than calls are counted for is told for that.
func TestUsageShortened(t *testing.T) {
	began := time.Now()
	at := func(ms, used int) usage {
		return usage{At: began.Add(time.Duration(ms) * time.Millisecond), CPU: float64(used), Mallocs: uint64(used), Bytes: uint64(used)}
	}
	var sum usage
	sum.add(at(12, 1200), at(0, 1000))
	sum.add(at(112, 2200), at(100, 2000))
	if want := 24 * time.Millisecond; sum.Took != want {
		t.Errorf("the sums are for %v, want %v", sum.Took, want)
	}
	sum.shorten(18 * time.Millisecond)
	if sum.CPU != 300 || sum.Mallocs != 300 || sum.Bytes != 300 {
		t.Errorf("of 400 in 24 ms, in 18 ms %v µs, %d allocations, %d bytes", sum.CPU, sum.Mallocs, sum.Bytes)
	}
	var none usage
	if none.shorten(time.Second); none.CPU != 0 {
		t.Errorf("of nothing, %v µs", none.CPU)
	}
}
