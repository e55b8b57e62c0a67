package main

// pktsvc                  the engine with its defaults: limits on, handlers may wait
// pktsvc-inline           its handler is declared never to wait
// pktsvc-async            as the first, asked without blocked callers: a function for each answer
// pktsvc-observed         as the first, with metrics, the flight recorder, and traces of which 1 % are
//                         sampled, on both sides
// pktsvc-observed-inline  both
// pktsvc-observed-async   both
// pktsvc-metrics, pktsvc-recorder, pktsvc-rule, pktsvc-traced: see observation

import (
	"context"
	"errors"
	"net"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/pktsvc/pktsvc/pkg/flight"
	"github.com/pktsvc/pktsvc/pkg/metrics"
	"github.com/pktsvc/pktsvc/pkg/stream"
	"github.com/pktsvc/pktsvc/pkg/tracing"
)

func init() {
	register("pktsvc", pktsvcPeer{})
	register("pktsvc-inline", pktsvcPeer{inline: true})
	register("pktsvc-async", pktsvcAsync{})
	register("pktsvc-observed", pktsvcPeer{observed: sampled})
	register("pktsvc-observed-inline", pktsvcPeer{observed: sampled, inline: true})
	register("pktsvc-observed-async", pktsvcAsync{pktsvcPeer{observed: sampled}})
	register("pktsvc-metrics", pktsvcPeer{observed: counted})
	register("pktsvc-recorder", pktsvcPeer{observed: recorded})
	register("pktsvc-rule", pktsvcPeer{observed: ruled})
	register("pktsvc-traced", pktsvcPeer{observed: traced})
}

type pktsvcPeer struct {
	inline   bool
	observed observation
}

// observation is what observes both sides: each has all that those before it have.
type observation int

const (
	bare     observation = iota
	counted              // metrics
	recorded             // and the flight recorder
	sampled              // and traces, of which 1 % are sampled
	ruled                // and a rule that takes each 1000th request
	traced               // and all are sampled, without the rule
)

var typeNames = map[uint64]string{0: "Echo"}

// observer is what serve of the program has, as far as it is wanted.
func (p pktsvcPeer) observer() (stream.Observer, error) {
	if p.observed == bare {
		return nil, nil
	}
	var spans *tracing.Observer
	traceID := tracing.TraceID
	if p.observed >= sampled {
		share := .01
		if p.observed == traced {
			share = 1
		}
		provider, err := tracing.NewProvider(context.Background(), tracing.ProviderOptions{
			Mode: tracing.On, Exporter: tracetest.NewNoopExporter(), Sampler: tracing.Ratio(share),
		})
		if err != nil {
			return nil, err
		}
		spans = tracing.New(tracing.Options{Provider: provider, Types: typeNames})
	} else {
		traceID = nil
	}
	m, err := metrics.New(prometheus.NewRegistry(), metrics.Options{Types: typeNames, TraceID: traceID})
	if err != nil {
		return nil, err
	}
	if p.observed == counted {
		return observing.combined(nil, m, nil), nil
	}
	r, err := flight.New(flight.Options{Types: typeNames, TraceID: traceID, Notify: exporter(spans)})
	if err != nil {
		return nil, err
	}
	if p.observed == ruled {
		if _, err := r.AddRule(flight.RuleOptions{Every: 1000, Count: flight.MaxRuleCount}); err != nil {
			return nil, err
		}
	}
	return observing.combined(spans, m, r), nil
}

// exporter makes spans of notable requests; nil without traces.
func exporter(spans *tracing.Observer) func(*flight.Notable) string {
	if spans == nil {
		return nil
	}
	return func(n *flight.Notable) string {
		if n.Sampled {
			return ""
		}
		return spans.Export(tracing.Ended{
			Conn: n.Conn(), Role: n.Role(), End: *n.End(), Outcome: n.Outcome(), Rejection: n.Rejection(),
			Err: n.Err, Because: n.Because(),
		})
	}
}

func (p pktsvcPeer) Serve(ready func(string)) error {
	observer, err := p.observer()
	if err != nil {
		return err
	}
	mux := new(stream.Mux)
	register := mux.Handle
	if p.inline {
		register = mux.Inline
	}
	register(0, "Echo", stream.HandlerFunc(func(_ context.Context, req stream.Request) (stream.Response, error) {
		return stream.Response{Payload: req.Payload}, nil
	}))
	return acceptConns(ready, func(c net.Conn) {
		conn, err := stream.NewConn(c, stream.Options{Handler: mux, Observer: observer})
		if err != nil {
			_ = c.Close()
			return
		}
		observing.add(conn)
		conn.AfterReceived(func() { // the client has ended
			_ = conn.Shutdown(context.Background())
			_ = c.Close()
		})
	})
}

func (p pktsvcPeer) connect(addr string) (*stream.Conn, error) {
	observer, err := p.observer()
	if err != nil {
		return nil, err
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	conn, err := stream.NewConn(c, stream.Options{Observer: observer})
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	observing.add(conn)
	return conn, nil
}

func (p pktsvcPeer) Dial(addr string, _ int) (func() Call, error) {
	conn, err := p.connect(addr)
	if err != nil {
		return nil, err
	}
	return callsOn(conn), nil
}

func callsOn(conn *stream.Conn) func() Call {
	ctx := context.Background()
	return func() Call {
		var buf []byte
		return func(req []byte) ([]byte, error) {
			if cap(buf) < len(req) {
				buf = make([]byte, len(req))
			}
			resp, err := conn.Call(ctx, stream.Request{Payload: req, Buffer: buf})
			return resp.Payload, err
		}
	}
}

// Linker gives all connections one observer, as a process has it.
func (p pktsvcPeer) Linker() (func(dialFunc) (link, error), error) {
	observer, err := p.observer()
	if err != nil {
		return nil, err
	}
	return func(dial dialFunc) (link, error) {
		c, err := dial(context.Background())
		if err != nil {
			return link{}, err
		}
		conn, err := stream.NewConn(c, stream.Options{Observer: observer})
		if err != nil {
			return link{}, errors.Join(err, c.Close())
		}
		return link{newCall: callsOn(conn), close: func() error { return errors.Join(conn.Close(), c.Close()) }}, nil
	}, nil
}

type pktsvcAsync struct{ pktsvcPeer }

// Pipe keeps window requests in flight: each answer begins the next.
func (p pktsvcAsync) Pipe(addr string, window, size int, rec *Recorder) error {
	conn, err := p.connect(addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	ended := make(chan error, window)
	for range window {
		go p.loop(conn, size, rec, ended)
	}
	return <-ended
}

func (p pktsvcAsync) loop(conn *stream.Conn, size int, rec *Recorder, ended chan<- error) {
	payload, buf := make([]byte, size), make([]byte, size)
	start := now()
	var done func(stream.Response, error)
	begin := func() { conn.Go(context.Background(), stream.Request{Payload: payload, Buffer: buf}, done) }
	done = func(resp stream.Response, err error) {
		if err == nil && len(resp.Payload) != size {
			err = errWrongEcho
		}
		t := now()
		rec.Add(t - start)
		start = t
		if err != nil || rec.Stopped() {
			ended <- err
			return
		}
		begin()
	}
	begin()
}
