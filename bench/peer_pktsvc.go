package main

// pktsvc                  the engine with its defaults: limits on, handlers may wait
// pktsvc-inline           its handler is declared never to wait
// pktsvc-async            as the first, asked without blocked callers: a function for each answer
// pktsvc-observed         as the first, with metrics and traces on both sides, of which 1 % are sampled
// pktsvc-observed-inline  both
// pktsvc-observed-async   both

import (
	"context"
	"errors"
	"net"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/pktsvc/pktsvc/pkg/metrics"
	"github.com/pktsvc/pktsvc/pkg/stream"
	"github.com/pktsvc/pktsvc/pkg/tracing"
)

func init() {
	register("pktsvc", pktsvcPeer{})
	register("pktsvc-inline", pktsvcPeer{inline: true})
	register("pktsvc-async", pktsvcAsync{})
	register("pktsvc-observed", pktsvcPeer{observed: true})
	register("pktsvc-observed-inline", pktsvcPeer{observed: true, inline: true})
	register("pktsvc-observed-async", pktsvcAsync{pktsvcPeer{observed: true}})
}

type pktsvcPeer struct{ inline, observed bool }

var typeNames = map[uint64]string{0: "Echo"}

// observer is what serve of the program has: metrics with exemplars, and tracing.
func (p pktsvcPeer) observer() (stream.Observer, error) {
	if !p.observed {
		return nil, nil
	}
	provider, err := tracing.NewProvider(context.Background(), tracing.ProviderOptions{
		Mode: tracing.On, Exporter: tracetest.NewNoopExporter(), Sampler: tracing.Ratio(.01),
	})
	if err != nil {
		return nil, err
	}
	m, err := metrics.New(prometheus.NewRegistry(), metrics.Options{Types: typeNames, TraceID: tracing.TraceID})
	if err != nil {
		return nil, err
	}
	return stream.Observers(tracing.New(tracing.Options{Provider: provider, Types: typeNames}), m), nil
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
	return stream.NewConn(c, stream.Options{Observer: observer})
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
