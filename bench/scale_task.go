package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// The parts that are no curves, and what they measure besides.
const (
	partIdle       = "idle"
	partIdleGone   = "idle-gone"    // the same server when they are closed
	partStorm      = "storm"        // the storm alone
	partStormQuiet = "storm-quiet"  // the busy connection alone
	partStormBusy  = "storm-busy"   // both
	partDialer     = "storm-dialer" // no part, but the process that makes the storm of one
	partAge        = "age"
)

// task is what one process measures with a server of its own.
type task struct {
	Part        string        `json:"part"`
	Peer        string        `json:"peer"`
	Round       int           `json:"round"`
	X           int           `json:"x"`
	Addr        string        `json:"addr,omitempty"` // of the server; empty: one of its own
	Idle        []int         `json:"idle,omitempty"`
	Shape       shape         `json:"shape"`
	Warm        time.Duration `json:"warm"`
	Duration    time.Duration `json:"duration"`
	HeapProfile string        `json:"heap_profile,omitempty"`
}

// measuringTask is a task under way.
type measuringTask struct {
	task
	peer   Peer
	server *serving
	links  *linking
	out    *json.Encoder
}

// runTask writes each point when it is known, so that those before an error are kept.
func runTask(text string, w io.Writer) error {
	var t task
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return err
	}
	p, err := lookup(t.Peer)
	if err != nil {
		return err
	}
	if t.Part == partDialer {
		return dialStorms(t, p, w)
	}
	s, err := startServer(options{peer: t.Peer, heapProfile: t.HeapProfile})
	if err != nil {
		return err
	}
	links, err := newLinking(p, s.addr)
	if err == nil {
		m := measuringTask{task: t, peer: p, server: s, links: links, out: json.NewEncoder(w)}
		err = m.measure()
	}
	return errors.Join(err, s.stop())
}

func (m *measuringTask) measure() error {
	switch m.Part {
	case partIdle:
		return m.idle()
	case partStorm:
		return m.storm()
	case partAge:
		return m.age()
	}
	if m.Shape.Callers < 1 {
		return fmt.Errorf("there is no part %q", m.Part)
	}
	return m.grow()
}

func (m *measuringTask) report(p Point) error {
	p.Peer, p.Round = m.Peer, m.Round
	return m.out.Encode(p)
}

// memory is what the server holds when nobody asks it.
func (m *measuringTask) memory() (memory, error) {
	before, err := m.server.usage()
	if err != nil {
		return memory{}, err
	}
	settled, err := m.server.usageAfter(askSettle)
	if err != nil {
		return memory{}, err
	}
	settle()
	return memory{
		Resident: settled.ResidentMiB, Before: before.ResidentMiB, Heap: settled.HeapMiB, Stack: settled.StackMiB,
		Goroutines: settled.Goroutines, Client: residentMiB(),
	}, nil
}

// busy is the load of one connection beside others: small requests of a few callers.
var busy = shape{Conns: 1, Callers: 16, Size: 16}

// load measures a load while the function given runs, on connections of its own.
func (m *measuringTask) load(s shape, during func() error) (f figures, err error) {
	links, err := m.links.many(s.Conns)
	if err != nil {
		return f, err
	}
	phase.Store(warming)
	a := asking{failed: make(chan error, 1)}
	for i := range s.Callers {
		a.ask(s.calls(links, i), s.Size)
	}
	f, err = a.measure(m.server, m.Warm, func() (time.Duration, error) { return counting(during) })
	return f, errors.Join(err, closeAll(links))
}

func (m *measuringTask) forDuration() error {
	time.Sleep(m.Duration)
	return nil
}
