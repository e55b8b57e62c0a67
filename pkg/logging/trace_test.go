package logging

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// newTrace makes an observer with a packet trace of its own, which is kept.
func newTrace() (*Observer, *observer.ObservedLogs) {
	core, lines := observer.New(zap.DebugLevel)
	return New(Options{PacketTrace: true, TraceLog: zap.New(core), Types: typeNames}), lines
}

// Every kind of event has a line.
func TestTraceCoversEveryKind(t *testing.T) {
	log, lines := newTrace()
	c, _ := connect(t, stream.Options{}, stream.Options{})
	if err := log.SetTraceAll(true); err != nil {
		t.Fatal(err)
	}
	for kind := range stream.NumEvents {
		if !log.Events().Has(kind) {
			t.Errorf("%v is not asked for", kind)
		}
		e := &stream.Event{
			Kind: kind, Conn: c, Time: time.Unix(1, 0), Err: errors.New("cause"), Duration: time.Second, Size: 5,
			Packet: stream.Packet{Tag: 7, Type: typeEcho, Payload: []byte("secret")},
		}
		if kind == stream.EventRequestBegin || kind == stream.EventCallBegin {
			log.Begin(t.Context(), e)
		} else {
			log.Observe(t.Context(), e)
		}
		line, fields := one(t, lines, kind.String())
		if line.Level != zap.DebugLevel {
			t.Errorf("%v: level %v, want debug", kind, line.Level)
		}
		wantFields(t, line, map[string]any{"conn": "c", "error": "cause", "duration": time.Second, "size": int64(5), "at": time.Unix(1, 0)})
		if strings.Contains(kind.String(), "packet") {
			wantFields(t, line, map[string]any{"packet": "request channel=0 tag=7 type=0 payload=6B", "tag": uint64(7), "type": uint64(0)})
		}
		if strings.HasPrefix(kind.String(), "request") {
			wantFields(t, line, map[string]any{"request": "c:7:rq_type=0,6bs", "method": "Echo"})
		}
		for k, v := range fields {
			if text, _ := v.(string); strings.Contains(text, "secret") {
				t.Errorf("%v: field %s shows the payload", kind, k)
			}
		}
	}
}

// The life of one request, in the order of its lines.
func TestTraceOfRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, lines := newTrace()
		c, s := connect(t, stream.Options{Observer: log}, stream.Options{Observer: log, Handler: handler})
		for _, name := range []string{"c", "s"} {
			if err := log.SetTrace(name, true); err != nil {
				t.Fatal(err)
			}
		}
		if err := ask(t.Context(), c, stream.Request{Type: typeEcho, Payload: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		go s.Shutdown(context.Background())
		if err := c.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		of := func(conn string) (list []string) {
			for _, line := range lines.FilterField(zap.String("conn", conn)).All() {
				list = append(list, line.Message)
			}
			return list
		}
		for conn, want := range map[string][]string{
			"c": {"call_begin", "call_submitted", "packet_received", "call_done", "conn_closed"},
			"s": {"packet_received", "request_begin", "request_started", "request_handled", "request_done", "conn_closed"},
		} {
			got := of(conn)
			rest := got
			for _, message := range want {
				i := slices.Index(rest, message)
				if i < 0 {
					t.Fatalf("%s: no %s in order in %v", conn, message, got)
				}
				rest = rest[i+1:]
			}
			for _, message := range []string{"packet_queued", "packet_written", "flushed", "peer_end_requests", "peer_eof", "receive_ended", "send_ended"} {
				if !slices.Contains(got, message) {
					t.Errorf("%s: no %s in %v", conn, message, got)
				}
			}
		}
	})
}

// The switch, while connections run.
func TestTraceSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, lines := newTrace()
		options := func(name string) stream.Options { return stream.Options{Name: name, Observer: log} }
		plain := stream.Options{Name: "plain", Handler: handler}
		a, _ := connect(t, options("a"), plain)
		b, _ := connect(t, options("b"), plain)
		traced := func() (names []string) {
			lines.TakeAll()
			for _, c := range []*stream.Conn{a, b} {
				_ = ask(t.Context(), c, stream.Request{Type: typeEcho})
			}
			for _, name := range []string{"a", "b"} {
				if lines.FilterField(zap.String("conn", name)).Len() > 0 {
					names = append(names, name)
				}
			}
			return names
		}
		set := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		want := func(step string, names ...string) {
			t.Helper()
			if got := traced(); !slices.Equal(got, names) {
				t.Errorf("%s: traced are %v, want %v", step, got, names)
			}
		}
		want("off")
		set(log.SetTrace("a", true))
		want("a on", "a")
		set(log.SetTraceAll(true))
		want("all on", "a", "b")
		if all, names := log.Traced(); !all || !slices.Equal(names, []string{"a"}) {
			t.Errorf("Traced: %t, %v", all, names)
		}
		set(log.SetTraceAll(false))
		want("all off", "a")
		set(log.SetTrace("a", false))
		want("a off")

		set(log.SetTrace("b", true))
		b.Close()
		synctest.Wait()
		if all, names := log.Traced(); all || len(names) > 0 || log.trace.some.Load() != nil {
			t.Errorf("after the end of b: Traced: %t, %v", all, names)
		}
		if err := log.SetTrace("b", true); err == nil || !strings.Contains(err.Error(), `"b"`) {
			t.Errorf("an unknown name: %v", err)
		}
	})
}

// While nothing is traced, no events are made for the trace; when it is switched on, open
// connections make them, and so do those that open later.
func TestTraceCostsNothingWhileOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, lines := newLog(zap.DebugLevel, Options{PacketTrace: true})
		others := &counting{}
		connect := func(name string) *stream.Conn {
			a, b := net.Pipe()
			conn, err := stream.NewConn(a, stream.Options{Name: name, Observer: stream.Observers(log, others)})
			if err != nil {
				t.Fatal(err)
			}
			peer, err := stream.NewConn(b, stream.Options{Handler: stream.HandlerFunc(func(context.Context, stream.Request) (stream.Response, error) {
				return stream.Response{}, nil
			})})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close(); peer.Close() })
			return conn
		}
		traced := func(conn *stream.Conn) bool {
			lines.TakeAll()
			if _, err := conn.Call(t.Context(), stream.Request{}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			return lines.FilterMessage("packet_received").Len() > 0
		}
		first := connect("first")
		if log.Events() == stream.AllEvents || traced(first) {
			t.Error("traced from the beginning")
		}
		if err := log.SetTrace("first", true); err != nil {
			t.Fatal(err)
		}
		second := connect("second")
		if !traced(first) || traced(second) {
			t.Error("one: not the one that was named")
		}
		first.Close()
		synctest.Wait()
		if log.Events() == stream.AllEvents || traced(second) {
			t.Error("traced after the end of the one that was named")
		}
		if err := log.SetTraceAll(true); err != nil {
			t.Fatal(err)
		}
		if third := connect("third"); !traced(second) || !traced(third) {
			t.Error("all: not traced")
		}
		if err := log.SetTraceAll(false); err != nil {
			t.Fatal(err)
		}
		if log.Events() == stream.AllEvents || traced(second) {
			t.Error("traced in the end")
		}
		if others.packets > 0 {
			t.Errorf("%d events of packets for one who wants none", others.packets)
		}
	})
}

// counting wants the ends of calls only.
type counting struct{ packets int }

func (*counting) Events() stream.EventSet                                    { return stream.Events(stream.EventCallDone) }
func (*counting) Begin(ctx context.Context, _ *stream.Event) context.Context { return ctx }
func (c *counting) Observe(_ context.Context, e *stream.Event) {
	if e.Kind != stream.EventCallDone {
		c.packets++
	}
}

func TestTraceMustBeAllowed(t *testing.T) {
	log, _ := newLog(zap.DebugLevel, Options{})
	if log.Events().Has(stream.EventPacketReceived) {
		t.Error("packets are observed for a trace that is not allowed")
	}
	if err := log.SetTraceAll(true); !errors.Is(err, errTraceNotAllowed) {
		t.Errorf("all: %v", err)
	}
	if err := log.SetTrace("x", true); !errors.Is(err, errTraceNotAllowed) {
		t.Errorf("one: %v", err)
	}
}
