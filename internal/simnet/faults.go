package simnet

import (
	"syscall"
	"time"
)

// FailReads makes every Read of this end return err, and drops what has not been
// read.
func (c *Conn) FailReads(err error) { c.in.change(func(l *lane) { l.failReads(err) }) }

// FailWrites makes every Write of this end return err.
func (c *Conn) FailWrites(err error) { c.out.change(func(l *lane) { l.writeErr = err }) }

// Reset ends the stream for both ends at once; what has not been read is lost.
func (c *Conn) Reset() {
	for _, l := range []*lane{c.in, c.out} {
		l.change(func(l *lane) {
			l.failReads(syscall.ECONNRESET)
			l.writeErr = syscall.ECONNRESET
		})
	}
}

// Hold lets the network neither take bytes from this end nor bring any to its
// peer, for d from now.
func (c *Conn) Hold(d time.Duration) {
	c.out.change(func(l *lane) { l.heldUntil = time.Now().Add(d) })
}

// Vanish makes what this end writes from now on disappear, as when the other host
// has died: writes succeed until the buffer is full.
func (c *Conn) Vanish() { c.out.change(func(l *lane) { l.vanish = true }) }

// Corrupt changes a byte that this end has yet to write, the one behind `after`
// others: the bits that are set in mask are flipped.
func (c *Conn) Corrupt(after int, mask byte) {
	c.out.change(func(l *lane) { l.corruptAt, l.corruptMask = l.written+int64(after), mask })
}

// Written is how many bytes the network has taken from this end.
func (c *Conn) Written() int64 {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return c.out.written
}
