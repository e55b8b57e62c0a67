package main

import (
	"sync"
	"sync/atomic"

	"github.com/pktsvc/pktsvc/pkg/flight"
	"github.com/pktsvc/pktsvc/pkg/metrics"
	"github.com/pktsvc/pktsvc/pkg/stream"
	"github.com/pktsvc/pktsvc/pkg/tracing"
)

// observing is the switch of all observers of this process.
var observing switchboard

type switchboard struct {
	used bool // set before any connection: observers have the switch
	off  atomic.Bool

	mu    sync.Mutex
	conns map[*stream.Conn]struct{}
}

// add has a connection asked when the switch is used, until it has ended.
func (s *switchboard) add(c *stream.Conn) {
	if !s.used {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		s.conns = make(map[*stream.Conn]struct{})
	}
	s.conns[c] = struct{}{}
	c.AfterReceived(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, c)
	})
}

func (s *switchboard) set(on bool) {
	s.off.Store(!on)
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.AskObserver()
	}
}

func (s *switchboard) events(all stream.EventSet) stream.EventSet {
	if s.off.Load() {
		return 0
	}
	return all
}

// The observers with a switch. They have all methods of those that they embed.
type (
	switchedSpans    struct{ *tracing.Observer }
	switchedMetrics  struct{ *metrics.Observer }
	switchedRecorder struct{ *flight.Recorder }
)

func (s switchedSpans) Events() stream.EventSet    { return observing.events(s.Observer.Events()) }
func (s switchedMetrics) Events() stream.EventSet  { return observing.events(s.Observer.Events()) }
func (s switchedRecorder) Events() stream.EventSet { return observing.events(s.Recorder.Events()) }

// combined are the observers of a process, those that are there.
func (s *switchboard) combined(spans *tracing.Observer, m *metrics.Observer, r *flight.Recorder) stream.Observer {
	var all []stream.Observer
	if spans != nil {
		all = append(all, s.of(spans, switchedSpans{spans}))
	}
	all = append(all, s.of(m, switchedMetrics{m}))
	if r != nil {
		all = append(all, s.of(r, switchedRecorder{r}))
	}
	return stream.Observers(all...)
}

func (s *switchboard) of(plain, switched stream.Observer) stream.Observer {
	if s.used {
		return switched
	}
	return plain
}

// Observe switches the observers of this process.
func (p pktsvcPeer) Observe(on bool) { observing.set(on) }

// Off is the same peer unobserved.
func (p pktsvcPeer) Off() string {
	switch {
	case p.observed == bare:
		return ""
	case p.inline:
		return "pktsvc-inline"
	}
	return "pktsvc"
}
