package logging

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// activity is the ticker that writes about each interval.
type activity struct {
	interval time.Duration
	lines    int // connections with a line of their own in each interval

	mu      sync.Mutex    // guards both
	stop    chan struct{} // nil: it does not run
	stopped chan struct{}
}

// counts are what happened on connections within an interval.
type counts struct {
	requestsReceived, responsesSent uint64 // "rq in"
	callsSent, callsAnswered        uint64 // "request out"
	packets, bytesIn, bytesOut      uint64
	stalls                          uint64
}

func countsSince(last, now stream.Stats) counts {
	return counts{
		requestsReceived: now.RequestsReceived - last.RequestsReceived,
		responsesSent:    now.ResponsesSent - last.ResponsesSent,
		callsSent:        now.CallsSent - last.CallsSent,
		callsAnswered:    now.CallsAnswered - last.CallsAnswered,
		packets:          now.PacketsReceived - last.PacketsReceived + now.PacketsSent - last.PacketsSent,
		bytesIn:          now.BytesReceived - last.BytesReceived,
		bytesOut:         now.BytesSent - last.BytesSent,
		stalls:           now.Stalls - last.Stalls,
	}
}

func (n *counts) add(m counts) {
	n.requestsReceived += m.requestsReceived
	n.responsesSent += m.responsesSent
	n.callsSent += m.callsSent
	n.callsAnswered += m.callsAnswered
	n.packets += m.packets
	n.bytesIn += m.bytesIn
	n.bytesOut += m.bytesOut
	n.stalls += m.stalls
}

// report is a line: of a connection, or of all.
type report struct {
	name string
	counts
	inFlight, serving int  // this side's unanswered requests, and the peers'
	stalled           bool // bytes or requests do not get on
}

func (r *report) worthIt() bool { return r.packets > 0 || r.stalled }

func (r *report) fields() []zap.Field {
	return []zap.Field{
		zap.Uint64("rq_in", r.requestsReceived), zap.Uint64("rq_in_answered", r.responsesSent),
		zap.Uint64("rq_out", r.callsSent), zap.Uint64("rq_out_answered", r.callsAnswered),
		zap.Uint64("bytes_in", r.bytesIn), zap.Uint64("bytes_out", r.bytesOut),
		zap.Int("in_flight", r.inFlight), zap.Int("serving", r.serving),
		zap.Uint64("stalls", r.stalls), zap.Bool("stalled", r.stalled),
	}
}

// Start begins to write about activity: at the end of each interval of
// Options.Activity one line at level info for each connection on which packets
// came or went, or which is stalled, and one line in total; none if there was
// nothing. rq_in and rq_out count requests of the peers and of this side,
// in_flight and serving those of this side and of the peers that are unanswered
// at the end of the interval. Of many connections only the busiest have a line.
//
// It does not block. It does nothing without an interval, or while it runs.
func (l *Observer) Start() {
	a := &l.activity
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.interval <= 0 || a.stop != nil {
		return
	}
	a.stop, a.stopped = make(chan struct{}), make(chan struct{})
	go l.tick(a.stop, a.stopped)
}

// Stop writes about the interval that has begun, and ends. It waits for that
// line to be written. It may be called more than once, and Start again later.
func (l *Observer) Stop() {
	a := &l.activity
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stop == nil {
		return
	}
	close(a.stop)
	<-a.stopped
	a.stop, a.stopped = nil, nil
}

func (l *Observer) tick(stop, stopped chan struct{}) {
	defer close(stopped)
	ticker := time.NewTicker(l.activity.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			l.writeActivity()
		case <-stop:
			l.writeActivity()
			return
		}
	}
}

func (l *Observer) writeActivity() {
	total, conns, open, opened, closed := l.conns.interval()
	if !total.worthIt() {
		return
	}
	// Stalled ones first, then the busiest.
	slices.SortFunc(conns, func(a, b report) int {
		if a.stalled != b.stalled {
			if a.stalled {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.packets, a.packets), cmp.Compare(a.name, b.name))
	})
	active := len(conns)
	for _, r := range conns[:min(active, l.activity.lines)] {
		l.log.Info("activity", append([]zap.Field{zap.String("conn", r.name)}, r.fields()...)...)
	}
	l.log.Info("activity in total", append(total.fields(),
		zap.Int("connections", open), zap.Int("active", active),
		zap.Int("opened", opened), zap.Int("closed", closed),
		zap.Duration("interval", l.activity.interval))...)
}

// interval ends an interval and returns what was in it: in total, and for each
// connection that is worth a line.
func (cs *connections) interval() (total report, conns []report, open, opened, closed int) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	total.counts = cs.ended
	for c, last := range cs.open {
		s := c.Stats()
		cs.open[c] = s
		r := report{name: c.Name(), counts: countsSince(last, s), inFlight: s.InFlight, serving: s.Serving + s.Queued}
		r.stalled = s.Paused || r.stalls > 0 || (s.SendQueued > 0 && r.bytesOut == 0)
		total.add(r.counts)
		total.inFlight += r.inFlight
		total.serving += r.serving
		total.stalled = total.stalled || r.stalled
		if r.worthIt() {
			conns = append(conns, r)
		}
	}
	open, opened, closed = len(cs.open), cs.opened, cs.closed
	cs.ended, cs.opened, cs.closed = counts{}, 0, 0
	return total, conns, open, opened, closed
}
