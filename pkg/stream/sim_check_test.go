package stream

import (
	"context"
)

// The world observes all its engines.

// Events asks for beginnings and ends.
func (w *simWorld) Events() EventSet {
	return Events(EventConnOpened, EventConnClosed, EventRequestBegin, EventRequestDone, EventCallBegin, EventCallDone)
}

// Begin counts requests of both roles.
func (w *simWorld) Begin(ctx context.Context, e *Event) context.Context {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.books[e.Kind]++
	return ctx
}

// Observe counts ends.
func (w *simWorld) Observe(_ context.Context, e *Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.books[e.Kind]++
	switch e.Kind {
	case EventConnOpened:
		w.conns = append(w.conns, e.Conn)
	case EventConnClosed:
		w.counts.add("reason " + e.Reason.String())
	}
}

// check looks at the books when everything has ended.
func (w *simWorld) check() {
	for _, r := range w.requests {
		if n := r.outcomes.Load(); n != 1 {
			w.errorf("request %d, type %s, has %d outcomes", r.id, simTypeNames[r.typ], n)
		}
	}
	for _, pair := range [][2]EventKind{{EventConnOpened, EventConnClosed}, {EventRequestBegin, EventRequestDone}, {EventCallBegin, EventCallDone}} {
		if n, m := w.books[pair[0]], w.books[pair[1]]; n != m {
			w.errorf("%d events %v, %d events %v", n, pair[0], m, pair[1])
		}
	}
	var bytes, packets uint64
	for _, c := range w.conns {
		s := c.Stats()
		if !ended(c.Done()) || s.InFlight+s.Serving+s.Queued+s.QueuedBytes+s.Receiving != 0 || s.Paused || len(c.OpenRequests()) > 0 {
			w.errorf("%s is not at rest: ended %v, %+v", c.Name(), ended(c.Done()), s)
		}
		bytes += s.BytesSent
		packets += s.PacketsSent
	}
	if w.budget != nil && w.budget.Used() != 0 {
		w.errorf("%d bytes of the budget are taken at the end", w.budget.Used())
	}
	w.counts.total(len(w.conns), len(w.requests), packets, bytes, w.plan.length)
}
