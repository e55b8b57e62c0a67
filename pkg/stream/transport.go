package stream

import (
	"io"
	"net"
	"syscall"
	"time"
)

// transport is what the engine knows about the stream it was given: how to read
// and write it, and what else it can do.
type transport struct {
	r io.Reader
	w io.Writer

	socket  *socketWriter   // sockets only: writes that never wait
	rawRead syscall.RawConn // sockets only: reads that wait without a buffer

	flush         flusher               // the writer buffers; nil otherwise
	readDeadline  func(time.Time) error // nil if there are none
	writeDeadline func(time.Time) error // nil if there are none
	records       bool                  // a layer above the bytes, TLS, which a write that was cut short breaks
	joined        *duplex               // keeps what was read too far; may be nil
}

func newTransport(s io.ReadWriter) *transport {
	t := &transport{r: s, w: s}
	if d, ok := s.(*duplex); ok {
		t.joined, t.r, t.w = d, d, d.w
		t.describe(d.r, d.w)
		if len(d.rest) > 0 {
			t.rawRead = nil
		}
		return t
	}
	t.describe(s, s)
	return t
}

func (t *transport) describe(r io.Reader, w io.Writer) {
	if d, ok := r.(interface{ SetReadDeadline(time.Time) error }); ok && d.SetReadDeadline(time.Time{}) == nil {
		t.readDeadline = d.SetReadDeadline
	}
	if d, ok := w.(interface{ SetWriteDeadline(time.Time) error }); ok && d.SetWriteDeadline(time.Time{}) == nil {
		t.writeDeadline = d.SetWriteDeadline
	}
	_, t.records = w.(interface{ NetConn() net.Conn })
	if f, ok := w.(flusher); ok {
		t.flush = f
	}
	t.rawRead = rawSocket(r)
	if raw := rawSocket(w); raw != nil {
		t.socket = newSocketWriter(raw)
	}
}

// rawSocket returns the raw form of a stream that is surely a socket without a
// layer of its own above the bytes, else nil.
func rawSocket(s any) syscall.RawConn {
	if !haveRawSockets {
		return nil
	}
	var sc syscall.Conn
	switch c := s.(type) {
	case *net.TCPConn:
		sc = c
	case *net.UnixConn:
		sc = c
	default:
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// longAgo interrupts reads and writes that wait.
var longAgo = time.Unix(1, 0)

// interrupt makes waiting reads and writes return, where the stream allows it.
// Each side takes its deadline back when it has returned.
func (t *transport) interrupt(read, write bool) {
	if read && t.readDeadline != nil {
		_ = t.readDeadline(longAgo)
	}
	if write && t.writeDeadline != nil {
		_ = t.writeDeadline(longAgo)
	}
}
