// Package simnet is a simulated network for tests, made for the virtual time of
// [testing/synctest]: streams with latency, bandwidth and bounded buffers, which
// can be held up, cut, reset and corrupted. It starts no goroutine: bytes carry
// the time at which they arrive, and who reads waits for it.
package simnet

import (
	"io"
	"net"
	"syscall"
	"time"
)

// Profile is what one direction of a stream is like. The zero value delivers
// everything at once.
type Profile struct {
	// Latency is the time from a byte's departure to its arrival, Jitter what may
	// come to it at random. The order of bytes never changes.
	Latency, Jitter time.Duration
	// Bandwidth is in bytes per second. 0: no limit.
	Bandwidth int
	// Buffer is how many bytes may be on their way or unread before writers wait.
	// 0: no limit.
	Buffer int
	// Chunk is the most that one Read returns, and that leaves at once, drawn anew
	// from 1 to Chunk each time. 0: no limit.
	Chunk int
}

// Conn is one end of a stream. It is a [net.Conn] whose directions can be closed
// apart. One goroutine at a time may read, and one write; all else may be called
// concurrently. Errors are those of sockets: io.EOF, os.ErrDeadlineExceeded,
// net.ErrClosed, syscall.EPIPE and syscall.ECONNRESET.
type Conn struct {
	in, out *lane
	name    address
}

// Pair returns the two ends of a stream. What is random is drawn from seed; which of
// two goroutines comes first at the same instant is not.
func Pair(seed uint64, fromA, fromB Profile) (a, b *Conn) {
	ab, ba := newLane(fromA, seed, 1), newLane(fromB, seed, 2)
	return &Conn{in: ba, out: ab, name: "a"}, &Conn{in: ab, out: ba, name: "b"}
}

// Read waits until bytes have arrived.
func (c *Conn) Read(b []byte) (int, error) { return c.in.read(b) }

// Write waits until the network has taken all bytes; they arrive later.
func (c *Conn) Write(b []byte) (int, error) { return c.out.write(b) }

// CloseWrite lets the peer read EOF behind what was written.
func (c *Conn) CloseWrite() error {
	c.out.change(func(l *lane) { l.finish(io.ErrClosedPipe) })
	return nil
}

// Close closes both directions: the peer reads what was written, then EOF, and
// can no longer write.
func (c *Conn) Close() error {
	c.out.change(func(l *lane) { l.finish(net.ErrClosed) })
	c.in.change(func(l *lane) {
		l.failReads(net.ErrClosed)
		if l.writeErr == nil {
			l.writeErr = syscall.EPIPE
		}
	})
	return nil
}

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// SetReadDeadline makes reads fail from t on, also those that wait already.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.in.change(func(l *lane) { l.readLimit = t })
	return nil
}

// SetWriteDeadline makes writes fail from t on, also those that wait already.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.out.change(func(l *lane) { l.writeLimit = t })
	return nil
}

// LocalAddr is "a" or "b".
func (c *Conn) LocalAddr() net.Addr { return c.name }

// RemoteAddr is the other one.
func (c *Conn) RemoteAddr() net.Addr {
	if c.name == "a" {
		return address("b")
	}
	return address("a")
}

type address string

func (address) Network() string  { return "simulated" }
func (a address) String() string { return string(a) }
