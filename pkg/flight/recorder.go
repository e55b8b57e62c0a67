package flight

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Defaults of [Options].
const (
	DefaultRecords = 64 << 10
	DefaultNotable = 512
	DefaultSlow    = 250 * time.Millisecond
)

// RecordSize is how many bytes of memory a remembered request takes. One with a label takes
// 120 more, and so does one with greater numbers than [stream.PackEnds] has room for.
const RecordSize = 64

// Options configure a [Recorder]. The zero value works.
type Options struct {
	// Records is how many requests are remembered in all, at RecordSize bytes each.
	// Connections share them in groups, so that one alone has a part of them.
	Records int
	// Notable is how many notable requests are remembered for each reason: those that
	// a rule has matched, those that failed, and those that were slow.
	Notable int

	// Slow is the time from which on a request is notable. Less than zero: none is.
	Slow time.Duration
	// SlowTypes are other times for some request types, likewise.
	SlowTypes map[uint64]time.Duration

	// Types are the names of request types. They are read once.
	Types map[uint64]string

	// Channels are the same for channels other than 0 whose types have other names. Types
	// of a channel that is not here are called as Types has them.
	Channels map[uint64]map[uint64]string

	// ShowPayloads has the beginnings of payloads shown where a rule asks for them. Else it
	// is told only how long they are.
	ShowPayloads bool

	// TraceID returns the trace of a request that another observer follows
	// ([stream.Event].Followed), and whether it is sampled; if not the trace is empty. It
	// must not block.
	TraceID func(context.Context) (traceID string, sampled bool)

	// Notify is called with each request that becomes notable, and returns the trace that
	// it is in, if there is one. It is called concurrently, must not block, and may not
	// keep n.
	Notify func(n *Notable) (traceID string)
}

// name is what a type is called on a channel.
func (o *Options) name(channel, typ uint64) string {
	if types, own := o.Channels[channel]; own {
		return types[typ]
	}
	return o.Types[typ]
}

// MaxNotable is how many requests become notable for each reason in a second, so that a
// flood of failures costs no more than that. Further ones are counted (Stats.Suppressed),
// and remembered like all others.
const MaxNotable = 1000

// Recorder remembers requests. One recorder serves any number of connections. Its
// methods may be called concurrently.
type Recorder struct {
	opts   Options // frozen
	shards []shard

	thresholds atomic.Pointer[thresholds]

	notables notables

	watching atomic.Pointer[watching] // nil: nobody does

	mu       sync.Mutex // guards all below; held for short work on them only
	conns    map[*stream.Conn]struct{}
	lastRule uint64
}

var _ stream.EndObserver = (*Recorder)(nil)

// New makes a recorder, with all its memory. The error names what is wrong in the
// options.
func New(o Options) (*Recorder, error) {
	for _, n := range []struct {
		name  string
		value *int
		def   int
	}{{"Records", &o.Records, DefaultRecords}, {"Notable", &o.Notable, DefaultNotable}} {
		if *n.value < 0 {
			return nil, fmt.Errorf("flight: Options.%s is %d, want 0 for the default or more", n.name, *n.value)
		}
		if *n.value == 0 {
			*n.value = n.def
		}
	}
	if o.Slow == 0 {
		o.Slow = DefaultSlow
	}
	o.Types, o.SlowTypes = maps.Clone(o.Types), maps.Clone(o.SlowTypes)
	r := &Recorder{opts: o, conns: make(map[*stream.Conn]struct{})}
	r.thresholds.Store(newThresholds(o.SlowTypes, o.Slow))
	r.notables.init(o.Notable)
	n := min(shardsFor(runtime.GOMAXPROCS(0)), o.Records)
	r.shards = make([]shard, n)
	for i := range r.shards {
		r.shards[i].ring = make([]stream.PackedEnd, (o.Records+n-1)/n)
	}
	return r, nil
}

// shardsFor is how many shards serve some processors.
func shardsFor(processors int) int { return max(4, 2*processors) }

func (r *Recorder) shardOf(c *stream.ConnInfo) *shard {
	return &r.shards[c.ID%uint64(len(r.shards))]
}

// Events are the ends of requests, which come in lists where they were answered ok, and
// those of connections.
func (r *Recorder) Events() stream.EventSet {
	return stream.Events(
		stream.EventCallDone, stream.EventRequestDone, stream.EventRequestRejected,
		stream.EventSlowWrite, stream.EventConnOpened, stream.EventConnClosed,
	)
}

// Begin is not called: no begin event is asked for.
func (r *Recorder) Begin(ctx context.Context, _ *stream.Event) context.Context { return ctx }

// ObserveEnds remembers requests that were answered ok.
func (r *Recorder) ObserveEnds(c *stream.Conn, role stream.Role, ends []stream.End) {
	slow := r.thresholds.Load()
	rec := record{conn: c.Info(), role: role, outcome: stream.OutcomeOK}
	maySlow := slow.may(ends)
	if !maySlow {
		s := r.shardOf(rec.conn)
		s.mu.Lock()
		s.put(rec.conn, rec.note(), ends...)
		s.mu.Unlock()
		if r.watching.Load() == nil {
			return
		}
	}
	for i := range ends {
		if rec.End = ends[i]; maySlow {
			rec.notable = slow.slow(&rec.End)
			r.remember(&rec)
		}
		r.consider(context.Background(), &rec, nil, "")
	}
}

func (r *Recorder) remember(rec *record) {
	s := r.shardOf(rec.conn)
	s.mu.Lock()
	s.put(rec.conn, rec.note(), rec.End)
	s.mu.Unlock()
}

// Observe remembers one request, and which connections are open.
func (r *Recorder) Observe(ctx context.Context, e *stream.Event) {
	switch e.Kind {
	case stream.EventConnOpened:
		r.mu.Lock()
		r.conns[e.Conn] = struct{}{}
		r.mu.Unlock()
		if r.wantsPayloads() { // perhaps only since the connection has asked
			e.Conn.AskObserver()
		}
	case stream.EventConnClosed:
		r.mu.Lock()
		delete(r.conns, e.Conn)
		r.mu.Unlock()
	case stream.EventSlowWrite:
		r.slowWrite(e)
	default:
		r.ended(ctx, e)
	}
}

func (r *Recorder) ended(ctx context.Context, e *stream.Event) {
	rec := record{
		End: e.End(), conn: e.Conn.Info(), role: stream.RoleServer,
		outcome: e.Outcome, rejection: e.Rejection,
	}
	if e.Kind == stream.EventCallDone {
		rec.role = stream.RoleClient
	}
	rec.notable = rec.outcome != stream.OutcomeOK || r.thresholds.Load().slow(&rec.End)
	r.remember(&rec)
	if rec.notable || r.watching.Load() != nil {
		traceID := ""
		if e.Followed && r.opts.TraceID != nil {
			traceID, _ = r.opts.TraceID(ctx)
		}
		r.consider(ctx, &rec, e.Err, traceID)
	}
}

// slowWrite looks for requests that were quick until their responses had to wait for
// the stream.
func (r *Recorder) slowWrite(e *stream.Event) {
	slow := r.thresholds.Load()
	if e.Duration < slow.least {
		return
	}
	conn := e.Conn.Info()
	s := r.shardOf(conn)
	var found []record
	s.mu.Lock()
	for i := range s.ring {
		k := &s.ring[i]
		if k.Conn != conn || k.Note&noteNotable != 0 {
			continue
		}
		if rec := s.get(i); rec.role == stream.RoleServer && rec.Sent() >= slow.from(rec.Type) {
			k.Note |= noteNotable
			rec.notable = true
			found = append(found, rec)
		}
	}
	s.mu.Unlock()
	for i := range found {
		r.keep(&Notable{rec: &found[i], slow: true})
	}
}

// open lists the open connections.
func (r *Recorder) open() []*stream.Conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Keys(r.conns))
}

// EachInFlight shows the requests of all open connections that have no answer yet, in no
// order. Between connections it holds nothing up.
func (r *Recorder) EachInFlight(f func(*stream.OpenRequest)) {
	for _, c := range r.open() {
		list := c.OpenRequests()
		for i := range list {
			f(&list[i])
		}
	}
}

// InFlight lists the requests of all open connections that have no answer yet, the oldest
// first, as far as they match. It does not block.
func (r *Recorder) InFlight(m *Match) []Request {
	var list []Request
	now := time.Now()
	for _, c := range r.open() {
		info := c.Info()
		if !m.conn(info) {
			continue
		}
		for _, o := range c.OpenRequests() {
			if m.open(&o, now) {
				list = append(list, openRequest(info, &o, now, r.opts.name(o.Channel, o.Type)))
			}
		}
	}
	slices.SortStableFunc(list, func(a, b Request) int { return a.Started.Compare(b.Started) })
	return list
}

func openRequest(conn *stream.ConnInfo, o *stream.OpenRequest, now time.Time, method string) Request {
	q := Request{
		Conn: conn.Name, Peer: conn.Peer.Address, Identity: conn.Peer.Identity,
		Channel: o.Channel, Tag: o.Tag, Type: o.Type, Method: method, Label: o.Label, Flags: o.Flags,
		Role: o.Role.String(), State: o.State.String(), Outcome: stream.OutcomePending.String(),
		Started: o.Begun, RequestBytes: o.Size,
	}
	if !o.Begun.IsZero() {
		q.DurationUS = max(0, now.Sub(o.Begun)).Microseconds()
	}
	q.setStages(openPoints(o))
	return q
}

// Recent lists requests that have ended, the latest first, as far as they match and are
// still remembered: no more than most of them.
func (r *Recorder) Recent(m *Match, most int) []Request {
	found := r.recent(m, most)
	list := make([]Request, 0, len(found))
	for i := range found {
		list = append(list, found[i].request(&r.opts))
	}
	return inOrder(list, most)
}

// recent are at least as many of the latest as are wanted, if there are.
func (r *Recorder) recent(m *Match, most int) (found []record) {
	for i := range r.shards {
		n := 0
		r.shards[i].each(func(rec *record) bool {
			if n < most && m.record(rec) {
				found = append(found, *rec)
				n++
			}
			return n < most
		})
	}
	return found
}

// inOrder puts the latest first, and cuts the list.
func inOrder(list []Request, most int) []Request {
	slices.SortStableFunc(list, latest)
	return list[:min(most, len(list))]
}

// latest orders by the ends of requests.
func latest(a, b Request) int { return b.ended().Compare(a.ended()) }

func (q *Request) ended() time.Time {
	return q.Started.Add(time.Duration(q.DurationUS) * time.Microsecond)
}

// Stats are counters of a recorder.
type Stats struct {
	Recorded   uint64 // requests
	Notable    uint64 // of them
	Suppressed uint64 // of these: more than MaxNotable in a second
}

// Stats returns the counters.
func (r *Recorder) Stats() Stats {
	st := Stats{Suppressed: r.notables.suppressed.Load(), Notable: r.notables.total.Load()}
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		st.Recorded += s.next
		s.mu.Unlock()
	}
	return st
}
