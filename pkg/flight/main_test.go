package flight

import (
	"context"
	"net"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The request types of tests.
const (
	typeEcho = iota
	typeSleep
	typeDecline
	typePanic
)

var typeNames = map[uint64]string{typeEcho: "Echo", typeSleep: "Sleep", typeDecline: "Decline", typePanic: "Panic"}

// service has the payload of Sleep as milliseconds.
func service() stream.Handler {
	mux := new(stream.Mux)
	add := func(typ uint64, f stream.HandlerFunc) { mux.Handle(typ, typeNames[typ], f) }
	add(typeEcho, func(_ context.Context, r stream.Request) (stream.Response, error) {
		return stream.Response{Payload: r.Payload}, nil
	})
	add(typeSleep, func(ctx context.Context, r stream.Request) (stream.Response, error) {
		ms, err := strconv.Atoi(string(r.Payload))
		if err != nil {
			return stream.Response{}, err
		}
		select {
		case <-time.After(time.Duration(ms) * time.Millisecond):
		case <-ctx.Done():
			return stream.Response{}, ctx.Err()
		}
		return stream.Response{}, nil
	})
	add(typeDecline, func(context.Context, stream.Request) (stream.Response, error) {
		return stream.Response{}, &stream.Rejection{Payload: []byte("no")}
	})
	add(typePanic, func(context.Context, stream.Request) (stream.Response, error) { panic("oh") })
	return mux
}

func mustNew(tb testing.TB, o Options) *Recorder {
	tb.Helper()
	if o.Types == nil {
		o.Types = typeNames
	}
	r, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// pair is a client and a server that talk to each other, each with its observer.
func pair(tb testing.TB, client, server stream.Observer) *stream.Conn {
	tb.Helper()
	return pairOf(tb, client, server, stream.ExtensionDefault)
}

func pairOf(tb testing.TB, client, server stream.Observer, mode stream.ExtensionMode) *stream.Conn {
	tb.Helper()
	near, far := net.Pipe()
	c, err := stream.NewConn(near, stream.Options{Name: "client", Observer: client, Extension: mode, Peer: stream.Peer{Address: "192.0.2.2:7450"}})
	if err != nil {
		tb.Fatal(err)
	}
	s, err := stream.NewConn(far, stream.Options{
		Name: "server", Observer: server, Handler: service(), Peer: stream.Peer{Address: "192.0.2.1:5", Identity: "importer"},
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close(); s.Close(); near.Close(); far.Close() })
	return c
}

func call(tb testing.TB, c *stream.Conn, typ uint64, payload string) {
	tb.Helper()
	// Whether it is answered ok is up to the type.
	_, _ = c.Call(tb.Context(), stream.Request{Type: typ, Payload: []byte(payload)})
}

func mustMatch(tb testing.TB, parameters string) *Match {
	tb.Helper()
	m, err := ParseMatch(values(tb, parameters), typeNames)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}
