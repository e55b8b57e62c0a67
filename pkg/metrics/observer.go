package metrics

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// otherType is the label's value for request types without a name.
const otherType = "other"

// Options configure an [Observer]. The zero value works: all requests are of
// the type "other".
type Options struct {
	// Types are the request types that get series of their own, with their names,
	// such as [stream.Mux.Names] returns. They are read once. Types with the same
	// name share their series.
	Types map[uint64]string

	// Channels are the same for channels other than 0 whose types have other names. Types
	// of a channel that is not here are called as Types has them.
	Channels map[uint64]map[uint64]string

	// TraceID returns the trace of an event's context, and whether that trace is
	// sampled; only then the duration of the request carries an exemplar with the
	// label trace_id. It is called for requests that another observer follows
	// ([stream.Event].Followed), and must not block. Nil: no exemplars.
	TraceID func(context.Context) (traceID string, sampled bool)
}

// Observer counts what happens on connections. One observer serves any number
// of connections. Its methods may be called concurrently.
type Observer struct {
	requests requests
	conns    connections
	traceID  func(context.Context) (string, bool)

	closed    [stream.NumReasons]prometheus.Counter
	opened    prometheus.Counter
	panics    prometheus.Counter
	dropped   prometheus.Counter
	late      prometheus.Counter
	unknown   prometheus.Counter
	collected []prometheus.Collector // what all of the above are children of
}

var (
	_ stream.EndObserver   = (*Observer)(nil)
	_ prometheus.Collector = (*Observer)(nil)
)

// New makes an observer and registers it with reg. With a nil reg it is not
// registered, which is left to the caller. It fails if a name in Options.Types
// cannot be the value of a label, or if reg has these metrics already.
func New(reg prometheus.Registerer, o Options) (*Observer, error) {
	var errs []error
	check := func(types map[uint64]string) {
		for typ, name := range types {
			if name == "" || !utf8.ValidString(name) {
				errs = append(errs, fmt.Errorf("metrics: the name of request type %d is %q, want a text in UTF-8 that is not empty", typ, name))
			}
		}
	}
	check(o.Types)
	for _, types := range o.Channels {
		check(types)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	m := &Observer{traceID: o.TraceID}
	m.conns.init()
	m.requests.init(o.Types, o.Channels)

	closed := counters("pktsvc_connections_closed_total",
		"Connections that have ended, by reason.", "reason")
	for r := stream.ReasonNone + 1; r < stream.NumReasons; r++ {
		m.closed[r] = closed.WithLabelValues(r.String())
	}
	m.opened = counter("pktsvc_connections_opened_total", "Connections that were opened.")
	m.panics = counter("pktsvc_handler_panics_total", "Handlers that panicked.")
	m.dropped = counter("pktsvc_requests_dropped_total",
		"Requests of peers that came after this side's EOF and cannot be answered.")
	responses := counters("pktsvc_responses_dropped_total",
		"Responses of peers that nobody waited for: late (the call had been given up) or unknown (they answer no request).", "reason")
	m.late, m.unknown = responses.WithLabelValues("late"), responses.WithLabelValues("unknown")
	m.collected = []prometheus.Collector{
		m.requests.total, m.requests.rejected, m.requests.duration, m.requests.stages, m.requests.payloads, closed, m.opened, m.panics, m.dropped, responses,
	}
	if reg != nil {
		if err := reg.Register(m); err != nil {
			return nil, fmt.Errorf("metrics: register: %w", err)
		}
	}
	return m, nil
}

// Events are the ends of requests and of connections, and what goes wrong:
// nothing that happens for each packet.
func (m *Observer) Events() stream.EventSet {
	return stream.Events(
		stream.EventConnOpened, stream.EventConnClosed,
		stream.EventRequestDone, stream.EventRequestRejected, stream.EventRequestDropped,
		stream.EventCallDone, stream.EventCallLate, stream.EventCallUnknown,
	)
}

// Begin is not called: no begin event is asked for.
func (m *Observer) Begin(ctx context.Context, _ *stream.Event) context.Context { return ctx }

// Observe counts one event.
func (m *Observer) Observe(ctx context.Context, e *stream.Event) {
	switch e.Kind {
	case stream.EventCallDone:
		m.done(ctx, stream.RoleClient, e)
	case stream.EventRequestDone:
		m.done(ctx, stream.RoleServer, e)
		if _, panicked := errors.AsType[*stream.PanicError](e.Err); panicked {
			m.panics.Inc()
		}
	case stream.EventRequestRejected: // it never began, so it has no duration
		m.requests.of(e.Packet.Channel, e.Packet.Type, stream.RoleServer).count(e)
	case stream.EventRequestDropped:
		m.dropped.Inc()
	case stream.EventCallLate:
		m.late.Inc()
	case stream.EventCallUnknown:
		m.unknown.Inc()
	case stream.EventConnOpened:
		m.opened.Inc()
		m.conns.add(e.Conn)
	case stream.EventConnClosed:
		m.conns.remove(e.Conn)
		if c := m.closed[e.Reason]; c != nil {
			c.Inc()
		}
	}
}

// ObserveEnds counts requests that were answered ok.
func (m *Observer) ObserveEnds(_ *stream.Conn, role stream.Role, ends []stream.End) {
	for len(ends) > 0 {
		n := 1
		for n < len(ends) && ends[n].Type == ends[0].Type && ends[n].Channel == ends[0].Channel {
			n++
		}
		s := m.requests.of(ends[0].Channel, ends[0].Type, role)
		s.outcomes[stream.OutcomeOK].Add(float64(n))
		s.duration.observeEnds(ends[:n])
		s.stages.addEnds(ends[:n])
		s.payloads.addEnds(ends[:n])
		ends = ends[n:]
	}
}

func (m *Observer) done(ctx context.Context, role stream.Role, e *stream.Event) {
	s := m.requests.of(e.Packet.Channel, e.Packet.Type, role)
	s.count(e)
	if role == stream.RoleServer && e.Outcome == stream.OutcomeLost {
		return // how long the peer stayed says nothing about the service
	}
	s.duration.observe(e.Duration)
	s.stages.addEnd(e)
	end := e.End()
	s.payloads.add(end.RequestSize, end.ResponseSize)
	if m.traceID != nil && e.Followed && s.duration.lacksExemplar(e.Duration, e.Time) {
		if id, sampled := m.traceID(ctx); sampled && usableExemplar(id) {
			s.duration.keepTrace(e.Duration, e.Time, id)
		}
	}
}

// Exemplar makes the trace of a request, which has been counted, that of its duration's
// bucket. It serves requests of which only their end shows that they have a trace.
func (m *Observer) Exemplar(role stream.Role, e *stream.End, traceID string) {
	s := m.requests.of(e.Channel, e.Type, role)
	if at := e.Ended(); s.duration.lacksExemplar(e.Duration, at) && usableExemplar(traceID) {
		s.duration.keepTrace(e.Duration, at, traceID)
	}
}

const exemplarLabel = "trace_id"

// usableExemplar keeps out what client_golang would panic over.
func usableExemplar(id string) bool {
	return len(id)+len(exemplarLabel) <= prometheus.ExemplarMaxRunes && utf8.ValidString(id)
}

// Describe sends the descriptions of all metrics.
func (m *Observer) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.collected {
		c.Describe(ch)
	}
	m.conns.describe(ch)
}

// Collect sends all metrics. It asks every open connection for its counters.
func (m *Observer) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.collected {
		c.Collect(ch)
	}
	m.conns.collect(ch)
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}
