package logging

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newLog makes an observer whose lines from a level on are kept.
func newLog(level zapcore.Level, o Options) (*Observer, *observer.ObservedLogs) {
	core, lines := observer.New(level)
	o.Log = zap.New(core)
	return New(o), lines
}

// Request types of the tests.
const (
	typeEcho = iota
	typeFail
	typePanic
	typeRefuse
	typeSleep // two seconds
	typeHuge  // a response over the limit
)

var typeNames = map[uint64]string{typeEcho: "Echo", typeFail: "Fail", typePanic: "Panic"}

var handler = stream.HandlerFunc(func(_ context.Context, req stream.Request) (stream.Response, error) {
	switch req.Type {
	case typeFail:
		return stream.Response{}, errors.New("the disk is full")
	case typePanic:
		panic("on purpose")
	case typeRefuse:
		return stream.Response{}, stream.Reject("not today")
	case typeSleep:
		time.Sleep(2 * time.Second) // of the test's own clock
	case typeHuge:
		return stream.Response{Payload: make([]byte, 1000)}, nil
	}
	return stream.Response{Payload: req.Payload}, nil
})

// connect makes two connections over a pipe that are called c and s unless they
// have other names.
func connect(t testing.TB, client, server stream.Options) (c, s *stream.Conn) {
	t.Helper()
	a, b := net.Pipe()
	if client.Name == "" {
		client.Name, server.Name = "c", "s"
	}
	c, err := stream.NewConn(a, client)
	if err != nil {
		t.Fatal(err)
	}
	s, err = stream.NewConn(b, server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close(); a.Close(); b.Close() })
	return c, s
}

// ask sends a request and waits for its outcome and all that follows from it.
func ask(ctx context.Context, c *stream.Conn, req stream.Request) error {
	defer synctest.Wait()
	call, err := c.Submit(ctx, req)
	if err != nil {
		return err
	}
	_, err = call.Wait(context.Background())
	return err
}

// one returns the only line with a message.
func one(t *testing.T, lines *observer.ObservedLogs, message string) (observer.LoggedEntry, map[string]any) {
	t.Helper()
	found := lines.FilterMessage(message).All()
	if len(found) != 1 {
		t.Fatalf("%d lines %q, want 1; all: %v", len(found), message, messages(lines))
	}
	return found[0], found[0].ContextMap()
}

func messages(lines *observer.ObservedLogs) (list []string) {
	for _, line := range lines.All() {
		list = append(list, line.Level.String()+" "+line.Message)
	}
	return list
}

func wantFields(t *testing.T, line observer.LoggedEntry, want map[string]any) {
	t.Helper()
	got := line.ContextMap()
	for k, v := range want {
		if got[k] != v {
			t.Errorf("line %q: field %s is %v (%T), want %v", line.Message, k, got[k], got[k], v)
		}
	}
}

type idKey struct{}

func ids(ctx context.Context) (traceID, spanID string, sampled bool) {
	traceID, sampled = ctx.Value(idKey{}).(string)
	return traceID, "span-" + traceID, sampled
}

// The level of a request's line, by what became of it, on both sides.
func TestRequestLevels(t *testing.T) {
	type line struct {
		level   zapcore.Level
		message string
	}
	tests := []struct {
		name           string
		request        stream.Request
		timeout        time.Duration
		client, server line
	}{
		{"success", stream.Request{Type: typeEcho}, 0,
			line{zap.DebugLevel, "call answered"}, line{zap.DebugLevel, "request served"}},
		{"slow", stream.Request{Type: typeSleep}, 0,
			line{zap.WarnLevel, "slow call"}, line{zap.WarnLevel, "slow request"}},
		{"our fault", stream.Request{Type: typeFail}, 0,
			line{zap.InfoLevel, "call rejected by the peer"}, line{zap.ErrorLevel, "request failed"}},
		{"a response that does not fit", stream.Request{Type: typeHuge}, 0,
			line{zap.InfoLevel, "call rejected by the peer"}, line{zap.ErrorLevel, "request failed"}},
		{"panic", stream.Request{Type: typePanic}, 0,
			line{zap.InfoLevel, "call rejected by the peer"}, line{zap.ErrorLevel, "handler panicked"}},
		{"the caller's fault", stream.Request{Type: typeRefuse}, 0,
			line{zap.InfoLevel, "call rejected by the peer"}, line{zap.InfoLevel, "request rejected"}},
		{"rejected before a handler", stream.Request{Channel: 9}, 0,
			line{zap.InfoLevel, "call rejected by the peer"}, line{zap.InfoLevel, "request rejected"}},
		{"deadline", stream.Request{Type: typeSleep}, time.Second,
			line{zap.WarnLevel, "call not answered in time"}, line{zap.WarnLevel, "slow request"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mine, clientLines := newLog(zap.DebugLevel, Options{Slow: 1500 * time.Millisecond, Types: typeNames})
				theirs, serverLines := newLog(zap.DebugLevel, Options{Slow: 1500 * time.Millisecond, Types: typeNames})
				c, _ := connect(t,
					stream.Options{Observer: mine, Channels: map[uint64]stream.Handler{9: nil}},
					stream.Options{Observer: theirs, Handler: handler, MaxPacket: 500})
				ctx := t.Context()
				if tt.timeout > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.timeout)
					defer cancel()
				}
				_ = ask(ctx, c, tt.request)
				time.Sleep(2 * time.Second) // of the test's own clock
				synctest.Wait()
				for _, side := range []struct {
					lines *observer.ObservedLogs
					want  line
				}{{clientLines, tt.client}, {serverLines, tt.server}} {
					got, _ := one(t, side.lines, side.want.message)
					if got.Level != side.want.level {
						t.Errorf("line %q has level %v, want %v", got.Message, got.Level, side.want.level)
					}
				}
			})
		})
	}
}

func TestRequestFields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, lines := newLog(zap.DebugLevel, Options{Types: typeNames, IDs: ids})
		ctx := context.WithValue(t.Context(), idKey{}, "t1")
		c, _ := connect(t, stream.Options{Observer: log}, stream.Options{Observer: log, Handler: handler})
		if err := ask(ctx, c, stream.Request{Type: typeFail, Flags: 5, Label: "try"}); err == nil {
			t.Fatal("no error")
		}
		if err := ask(ctx, c, stream.Request{Type: 77, Payload: []byte("secret payload")}); err != nil {
			t.Fatal(err)
		}
		line, fields := one(t, lines, "call rejected by the peer")
		wantFields(t, line, map[string]any{
			"request": "c:2:try", "conn": "c", "channel": uint64(0), "tag": uint64(2), "type": uint64(typeFail),
			"method": "Fail", "outcome": "rejected", "trace_id": "t1", "span_id": "span-t1",
		})
		if text, _ := fields["error"].(string); !strings.Contains(text, "rejected by the peer") {
			t.Errorf("error %q", text)
		}
		line, fields = one(t, lines, "request failed")
		wantFields(t, line, map[string]any{
			"request": "s:2:rq_type=1,0b101", "conn": "s", "tag": uint64(2), "rejection": "handler_error", "error": "the disk is full",
		})
		if _, exists := fields["trace_id"]; exists {
			t.Error("a line without a trace has a trace_id")
		}
		line, fields = one(t, lines, "call answered")
		wantFields(t, line, map[string]any{"type": uint64(77), "tag": uint64(3), "size": int64(14)})
		if _, exists := fields["method"]; exists {
			t.Error("a type without a name has a method")
		}
		for _, entry := range lines.All() {
			for k, v := range entry.ContextMap() {
				if text, _ := v.(string); strings.Contains(text, "secret") {
					t.Errorf("line %q: field %s shows a payload: %q", entry.Message, k, text)
				}
			}
		}
	})
}

func TestPanicHasItsStack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, lines := newLog(zap.InfoLevel, Options{})
		c, _ := connect(t, stream.Options{}, stream.Options{Observer: log, Handler: handler})
		_ = ask(t.Context(), c, stream.Request{Type: typePanic})
		line, fields := one(t, lines, "handler panicked")
		wantFields(t, line, map[string]any{"error": "handler panicked: on purpose", "rejection": "panic"})
		if stack, _ := fields["stack"].(string); !strings.Contains(stack, "logging_test.go") {
			t.Errorf("the stack does not show the handler: %q", stack)
		}
	})
}

func TestConnectionLines(t *testing.T) {
	request, _ := stream.Packet{Tag: 2, Type: typeEcho, Payload: make([]byte, 100)}.AppendBinary(nil)
	tests := []struct {
		name   string
		bytes  string
		close  bool // the peer's stream
		level  zapcore.Level
		reason string
	}{
		{"in order", "\x03\x01\x02\x00\x03\x00\x02\x00", false, zap.InfoLevel, "shutdown"},
		{"malformed", "\x00", false, zap.WarnLevel, "malformed"},
		{"truncated", "\x09\x02", true, zap.WarnLevel, "truncated"},
		{"oversize", "\xa0\x80\x80\x80\x80\x00", false, zap.WarnLevel, "oversize"},
		{"HTTP", "GET / HTTP/1.1\r\n", false, zap.WarnLevel, "not_packets"},
		{"it takes no bytes", string(request), false, zap.WarnLevel, "slow_consumer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, lines := newLog(zap.DebugLevel, Options{Fields: func(c *stream.Conn) []zap.Field {
					return []zap.Field{zap.String("peer", "peer of "+c.Name())}
				}})
				mine, peer := net.Pipe()
				defer mine.Close()
				defer peer.Close()
				s, err := stream.NewConn(mine, stream.Options{Name: "s", Observer: log, Handler: handler})
				if err != nil {
					t.Fatal(err)
				}
				line, _ := one(t, lines, "connection opened")
				wantFields(t, line, map[string]any{"conn": "s", "peer": "peer of s"})
				if line.Level != zap.DebugLevel {
					t.Errorf("opened: level %v, want debug", line.Level)
				}
				if _, err := peer.Write([]byte(tt.bytes)); err != nil {
					t.Fatal(err)
				}
				if tt.close {
					peer.Close()
				}
				if tt.name == "in order" {
					<-s.Received()
					go func() { // the peer reads our end
						buf := make([]byte, 64)
						for {
							if _, err := peer.Read(buf); err != nil {
								return
							}
						}
					}()
					if err := s.Shutdown(t.Context()); err != nil {
						t.Error(err)
					}
				}
				<-s.Done()
				line, fields := one(t, lines, "connection closed")
				wantFields(t, line, map[string]any{"conn": "s", "peer": "peer of s", "reason": tt.reason})
				if line.Level != tt.level {
					t.Errorf("closed: level %v, want %v", line.Level, tt.level)
				}
				if cause, exists := fields["cause"]; exists != (s.Err() != nil) {
					t.Errorf("cause %v, the connection's error is %v", cause, s.Err())
				}
				if tt.name == "it takes no bytes" {
					wantFields(t, line, map[string]any{"rq_in": uint64(1), "bytes_in": uint64(len(request))})
				}
			})
		})
	}
}

// Responses that nobody waits for, and a request that nobody can answer.
func TestDroppedPackets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, lines := newLog(zap.DebugLevel, Options{})
		c, s := connect(t, stream.Options{Observer: log}, stream.Options{Handler: handler})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := ask(ctx, c, stream.Request{Type: typeSleep, Label: "late"}); err == nil {
			t.Fatal("no error")
		}
		time.Sleep(2 * time.Second) // of the test's own clock
		line, _ := one(t, lines, "response came too late and is dropped")
		if wantFields(t, line, map[string]any{"request": "c:2:late"}); line.Level != zap.DebugLevel {
			t.Errorf("late: level %v", line.Level)
		}
		c.Close()
		s.Close()

		mine, peer := net.Pipe()
		defer mine.Close()
		defer peer.Close()
		raw, err := stream.NewConn(mine, stream.Options{Name: "raw", Observer: log, Handler: handler})
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		bytes, _ := stream.Packet{Kind: stream.KindResponse, OK: true, Tag: 50}.AppendBinary(nil)
		if _, err := peer.Write(bytes); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		line, fields := one(t, lines, "response answers no request and is dropped")
		if wantFields(t, line, map[string]any{"conn": "raw", "tag": uint64(50)}); line.Level != zap.WarnLevel {
			t.Errorf("unknown: level %v", line.Level)
		}
		if _, exists := fields["type"]; exists {
			t.Error("a response has a type")
		}
		raw.EndSending()
		buf := make([]byte, 64)
		if n, err := peer.Read(buf); err != nil || n != 8 {
			t.Fatalf("ERQ and EOF: %d bytes, %v", n, err)
		}
		bytes, _ = stream.Packet{Tag: 2, Type: typeEcho}.AppendBinary(nil)
		if _, err := peer.Write(bytes); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if line, _ := one(t, lines, "request came after this side's end and is dropped"); line.Level != zap.InfoLevel {
			t.Errorf("dropped: level %v", line.Level)
		}
	})
}

// A line that is not written costs nothing, and the trace costs nothing while it
// is off.
func TestSilenceAllocatesNothing(t *testing.T) {
	log, lines := newLog(zap.InfoLevel, Options{PacketTrace: true, Slow: time.Second, IDs: ids, Types: typeNames})
	c, _ := connect(t, stream.Options{}, stream.Options{})
	ctx := t.Context()
	for _, kind := range []stream.EventKind{
		stream.EventCallDone, stream.EventRequestDone, stream.EventCallLate, stream.EventPacketReceived, stream.EventFlushed,
	} {
		e := &stream.Event{Kind: kind, Conn: c, Outcome: stream.OutcomeOK, Duration: time.Millisecond}
		if n := testing.AllocsPerRun(1000, func() { log.Observe(ctx, e) }); n != 0 {
			t.Errorf("%v: %v allocations, want 0", kind, n)
		}
	}
	e := &stream.Event{Kind: stream.EventRequestBegin, Conn: c}
	if n := testing.AllocsPerRun(1000, func() { log.Begin(ctx, e) }); n != 0 {
		t.Errorf("begin: %v allocations, want 0", n)
	}
	if lines.Len() != 0 {
		t.Errorf("lines: %v", messages(lines))
	}
}
