package diag_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/pktsvc/pktsvc/pkg/diag"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// connect returns a client's connection to a server with the given mux, over
// TCP, and the server's end.
func connect(t *testing.T, mux *stream.Mux, client stream.Options) (conn, served *stream.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return start(t, a, client), start(t, b, stream.Options{
		Handler: mux, Channels: map[uint64]stream.Handler{9: mux},
	})
}

func start(t *testing.T, s net.Conn, o stream.Options) *stream.Conn {
	t.Helper()
	conn, err := stream.NewConn(s, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); s.Close() })
	return conn
}

func TestTypes(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789"), 30_000)
	tests := []struct {
		name    string
		typ     uint64
		flags   uint64
		payload string

		wantFlags uint64
		want      string
		rejected  bool // want is the rejection's text
	}{
		{name: "echo", typ: 0, flags: 0x55, payload: "hello", wantFlags: 0x55, want: "hello"},
		{name: "echo of nothing", typ: 0},
		{name: "echo of much", typ: 0, flags: 1<<61 - 1, payload: string(long), wantFlags: 1<<61 - 1, want: string(long)},
		{name: "echo of flags no response can have", typ: 0, flags: 1 << 61, rejected: true, want: "exception during handler"},
		{name: "reverse", typ: 1, flags: 0x55, payload: "hello, world", wantFlags: 0x11, want: "dlrow ,olleh"},
		{name: "reverse of nothing", typ: 1, wantFlags: 0x11},
		{name: "fail", typ: 2, payload: "x", rejected: true, want: "exception during handler"},
		{name: "length", typ: 3, flags: 7, payload: string(long), wantFlags: 300_000},
		{name: "length of nothing", typ: 3},
		{name: "text", typ: 4, flags: 1, payload: "ignored", want: "héllo ✓ 日本 😀"},
		{name: "sleep", typ: 5, flags: 3, payload: "1"},
		{name: "sleep not", typ: 5, payload: "000"},
		{name: "sleep for nothing", typ: 5, rejected: true, want: `the payload "" is no number of milliseconds from 0 to 600000 in decimal`},
		{name: "sleep for ever", typ: 5, payload: "600001", rejected: true, want: `the payload "600001" is no number of milliseconds from 0 to 600000 in decimal`},
		{name: "sleep backwards", typ: 5, payload: "-1", rejected: true, want: `the payload "-1" is no number of milliseconds from 0 to 600000 in decimal`},
		{name: "sleep in hexadecimal", typ: 5, payload: "0x1", rejected: true, want: `the payload "0x1" is no number of milliseconds from 0 to 600000 in decimal`},
		{name: "sleep a line", typ: 5, payload: "1\n", rejected: true, want: `the payload "1\n" is no number of milliseconds from 0 to 600000 in decimal`},
		{name: "sleep over 64 bits", typ: 5, payload: strings.Repeat("9", 50), rejected: true,
			want: `the payload "` + strings.Repeat("9", 40) + `" is no number of milliseconds from 0 to 600000 in decimal`},
		{name: "hash", typ: 6, payload: "abc", want: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{name: "hash of nothing", typ: 6, want: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{name: "call back", typ: 7, flags: 12, payload: "hello", wantFlags: 12, want: "hello"},
		{name: "unknown", typ: 8, payload: "x", rejected: true, want: "exception during handler"},
		{name: "unknown, largest", typ: 1<<64 - 2, rejected: true, want: "exception during handler"},
	}
	for name, options := range map[string][]diag.Option{"goroutines": nil, "inline": {diag.Inline()}} {
		t.Run(name, func(t *testing.T) {
			conn, _ := connect(t, diag.Mux(options...), stream.Options{
				Handler: diag.CallBacks(), Channels: map[uint64]stream.Handler{9: diag.CallBacks()},
			})
			for _, test := range tests {
				for _, channel := range []uint64{0, 9} {
					t.Run(test.name, func(t *testing.T) {
						resp, err := conn.Call(t.Context(), stream.Request{
							Type: test.typ, Channel: channel, Flags: test.flags, Payload: []byte(test.payload),
						})
						if e := (*stream.Error)(nil); test.rejected && errors.As(err, &e) {
							resp, err = stream.Response{Flags: e.Flags, Payload: e.Payload}, nil
							if e.Outcome != stream.OutcomeRejected {
								t.Errorf("outcome %v", e.Outcome)
							}
						} else if test.rejected {
							t.Error("answered ok")
						}
						if err != nil {
							t.Fatal(err)
						}
						if resp.Flags != test.wantFlags || string(resp.Payload) != test.want {
							t.Errorf("got flags %#x, %.200q", resp.Flags, resp.Payload)
						}
					})
				}
			}
		})
	}
}

func TestNames(t *testing.T) {
	names := diag.Mux().Names()
	for typ, want := range []string{"Echo", "Reverse", "Fail", "Length", "Text", "Sleep", "Hash", "CallBack"} {
		if names[uint64(typ)] != want {
			t.Errorf("type %d is called %q, want %q", typ, names[uint64(typ)], want)
		}
	}
	if len(names) != 8 {
		t.Errorf("%d types", len(names))
	}
}

// A client's rejection of the call-back is the answer.
func TestCallBackRejected(t *testing.T) {
	client := new(stream.Mux)
	client.HandleFunc(diag.TypeEcho, "Echo", func(context.Context, stream.Request) (stream.Response, error) {
		return stream.Response{}, &stream.Rejection{Flags: 3, Payload: []byte("not today")}
	})
	conn, _ := connect(t, diag.Mux(), stream.Options{Handler: client})
	_, err := conn.Call(t.Context(), stream.Request{Type: diag.TypeCallBack})
	if e := (*stream.Error)(nil); !errors.As(err, &e) || e.Flags != 3 || string(e.Payload) != "not today" {
		t.Errorf("got %v", err)
	}
}

// The handler of Sleep itself, in time that does not pass.
func TestSleepTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		_, err := diag.Mux().Serve(t.Context(), stream.Request{Type: diag.TypeSleep, Payload: []byte("600000")})
		if err != nil || time.Since(begun) != diag.MaxSleep {
			t.Errorf("slept %v, %v", time.Since(begun), err)
		}
	})
}

// A sleeper ends with its connection.
func TestSleepEndsWithConnection(t *testing.T) {
	conn, served := connect(t, diag.Mux(), stream.Options{})
	call, err := conn.Submit(t.Context(), stream.Request{Type: diag.TypeSleep, Payload: []byte("600000")})
	if err != nil {
		t.Fatal(err)
	}
	// Requests start in the order of arrival, so the sleeper has been accepted.
	if _, err := conn.Call(t.Context(), stream.Request{}); err != nil {
		t.Fatal(err)
	}
	if n := len(served.OpenRequests()); n != 1 {
		t.Errorf("%d requests in flight, want the sleeper", n)
	}
	served.Close() // leaves the stream itself open
	conn.Close()
	if _, err := call.Wait(t.Context()); !errors.Is(err, stream.ErrConnectionLost) {
		t.Errorf("got %v", err)
	}
	// goleak sees a handler that sleeps on.
}

// The types that may block have goroutines of their own even with Inline.
func TestSlowTypesNeverBlockReader(t *testing.T) {
	conn, _ := connect(t, diag.Mux(diag.Inline()), stream.Options{Handler: diag.CallBacks()})
	if _, err := conn.Submit(t.Context(), stream.Request{Type: diag.TypeSleep, Payload: []byte("600000")}); err != nil {
		t.Fatal(err)
	}
	for _, typ := range []uint64{diag.TypeCallBack, diag.TypeEcho} {
		if _, err := conn.Call(t.Context(), stream.Request{Type: typ}); err != nil {
			t.Error(err)
		}
	}
}
