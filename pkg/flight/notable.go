package flight

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"golang.org/x/time/rate"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Notable is a request that has become notable.
type Notable struct {
	Err     error // why it failed, or nil
	Sampled bool  // its trace is exported anyway

	rec     *record
	slow    bool
	failed  bool
	matched []*Rule
	traceID string
	payload string
}

// Conn is the connection that the request was made on.
func (n *Notable) Conn() *stream.ConnInfo { return n.rec.conn }

// Role is that of this side.
func (n *Notable) Role() stream.Role { return n.rec.role }

// End has the request's numbers, times and sizes.
func (n *Notable) End() *stream.End { return &n.rec.End }

// Outcome is how it ended.
func (n *Notable) Outcome() stream.Outcome { return n.rec.outcome }

// Rejection is why this side rejected it, if it did.
func (n *Notable) Rejection() stream.RejectReason { return n.rec.rejection }

// Slow says whether it took longer than requests of its type should.
func (n *Notable) Slow() bool { return n.slow }

// Payload is what a rule wants to have shown of its payload, as text.
func (n *Notable) Payload() string { return n.payload }

// Rules are those that it matches.
func (n *Notable) Rules() []*Rule { return n.matched }

// Because is why it is notable: slow, failed, cancelled, rule N, or several of these with
// commas.
func (n *Notable) Because() string {
	var why []string
	for _, rule := range n.matched {
		why = append(why, "rule "+strconv.FormatUint(rule.ID, 10))
	}
	switch {
	case !n.failed:
	case n.rec.outcome == stream.OutcomeCanceled || n.rec.outcome == stream.OutcomeDeadline:
		why = append(why, "cancelled")
	default:
		why = append(why, "failed")
	}
	if n.slow {
		why = append(why, "slow")
	}
	return strings.Join(why, ",")
}

// noted is what is remembered of one.
type noted struct {
	record
	because, err, traceID, payload string
}

// maxText bounds the text of an error, in bytes: peers have their part in it.
const maxText = 512

func textOf(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	if len(text) > maxText {
		text = text[:maxText] + "..."
	}
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	return text
}

// notables are rings by reason, so that many for one do not push out those for another.
type notables struct {
	total, suppressed atomic.Uint64

	mu    sync.Mutex // guards what is in the rings
	rings [numKinds]notedRing
}

// The reasons for which there are rings: the first that applies counts.
const (
	kindMatched = iota
	kindFailed
	kindSlow
	numKinds
)

type notedRing struct {
	limit *rate.Limiter // never replaced
	ring  []noted
	next  uint64
}

func (ns *notables) init(n int) {
	for i := range ns.rings {
		ns.rings[i] = notedRing{limit: rate.NewLimiter(MaxNotable, MaxNotable), ring: make([]noted, n)}
	}
}

// kind is the ring that it belongs to.
func (n *Notable) kind() int {
	switch {
	case len(n.matched) > 0:
		return kindMatched
	case n.failed:
		return kindFailed
	}
	return kindSlow
}

func (r *notedRing) add(e noted) {
	r.ring[r.next%uint64(len(r.ring))] = e
	r.next++
}

// all returns copies of those that f wants.
func (ns *notables) all(f func(*noted) bool) []noted {
	var found []noted
	ns.mu.Lock()
	defer ns.mu.Unlock()
	for k := range ns.rings {
		r := &ns.rings[k]
		for i := range r.ring[:min(r.next, uint64(len(r.ring)))] {
			if e := &r.ring[i]; f(e) {
				found = append(found, *e)
			}
		}
	}
	return found
}

// consider deals with a request that has ended and is notable by itself, or may be
// watched. traceID is the trace in which it is sampled, if it is.
func (r *Recorder) consider(ctx context.Context, rec *record, err error, traceID string) {
	w := r.watching.Load()
	var rules, taps uint64
	if w != nil {
		rules, taps = w.match(rec)
	}
	if !rec.notable && rules|taps == 0 {
		return
	}
	// A copy, so that rec need not be allocated for all those that end above.
	n := &Notable{rec: new(*rec), Err: err, Sampled: traceID != "", traceID: traceID}
	n.failed = rec.outcome != stream.OutcomeOK
	n.slow = rec.notable && (!n.failed || r.thresholds.Load().slow(&rec.End))
	if w != nil {
		n.matched = w.rulesOf(rules)
		n.payload = r.payload(ctx, n)
	}
	if rec.notable || rules != 0 {
		r.keep(n)
	}
	if w != nil {
		w.show(r, n, taps)
	}
}

// keep remembers a notable request, and tells of it.
func (r *Recorder) keep(n *Notable) {
	ns := &r.notables
	ns.total.Add(1)
	ring := &ns.rings[n.kind()]
	if !ring.limit.Allow() {
		ns.suppressed.Add(1)
		return
	}
	if r.opts.Notify != nil {
		if id := r.opts.Notify(n); id != "" {
			n.traceID = id
		}
	}
	e := noted{record: *n.rec, because: n.Because(), err: textOf(n.Err), traceID: n.traceID, payload: n.payload}
	ns.mu.Lock()
	ring.add(e)
	ns.mu.Unlock()
}

// Request is the form in which a notable request is shown.
func (r *Recorder) Request(n *Notable) Request {
	q := n.rec.request(&r.opts)
	q.Because, q.Error, q.TraceID, q.Payload = n.Because(), textOf(n.Err), n.traceID, n.payload
	return q
}

// Notable lists notable requests, the latest first, as far as they match and are still
// remembered: no more than most of them.
func (r *Recorder) Notable(m *Match, most int) []Request {
	return inOrder(r.shownNotable(r.notables.all(func(e *noted) bool { return m.record(&e.record) })), most)
}

func (r *Recorder) shownNotable(found []noted) []Request {
	list := make([]Request, 0, len(found))
	for i := range found {
		e := &found[i]
		q := e.request(&r.opts)
		q.Because, q.Error, q.TraceID, q.Payload = e.because, e.err, e.traceID, e.payload
		list = append(list, q)
	}
	return list
}

// Ended lists requests of both kinds, notable and recent ones, the latest first, each once.
func (r *Recorder) Ended(m *Match, most int) []Request {
	notable := r.notables.all(func(e *noted) bool { return m.record(&e.record) })
	known := make(map[identity]bool, len(notable))
	for i := range notable {
		known[notable[i].identity()] = true
	}
	list := r.shownNotable(notable)
	for _, rec := range r.recent(m, most) {
		if !known[rec.identity()] {
			list = append(list, rec.request(&r.opts))
		}
	}
	return inOrder(list, most)
}
