package stream

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

const (
	// flushPackets and flushSize are how much may be queued before a flush no longer
	// waits for others to add to it: what a system call costs is shared by so many then,
	// and the peer can begin.
	flushPackets = 384
	flushSize    = 64 << 10
	// writeChunk bounds one write, and so what a slow peer must take within
	// Options.WriteTimeout for the connection to know that it takes anything.
	writeChunk = 256 << 10
	// writeChunkBlind is the same for streams without deadlines, which tell
	// nothing until all of it is taken, and for TLS.
	writeChunkBlind = 16 << 10
	// slowWrite is how long a batch takes of which observers are told.
	slowWrite = 10 * time.Millisecond
	// maxTurns bounds how often somebody with other work writes for others
	// before it leaves that to a goroutine.
	maxTurns = 4
)

// outbox is the send queue: encoded packets in one buffer. Guarded by mu.
//
// Whoever finds bytes and nobody writing takes the write role (writing). The
// role is held by one goroutine at a time; it alone touches the stream's writer,
// and it gives the role back only when nothing is pending. A caller or the reader
// that holds it writes without ever waiting, and passes the role to a goroutine
// of its own as soon as the stream does not take everything.
type outbox struct {
	pending batch
	writing bool  // somebody has the write role
	holding bool  // the reader is about to flush for everybody
	looks   looks // of calls that begin meanwhile

	// notifying: the reader calls functions given to Go, which may submit more.
	notifying bool

	// Positions in the stream of bytes that is sent: queued ≥ taken ≥ written.
	queued  uint64
	taken   uint64 // may have reached the peer
	written uint64
	content uint64 // where the last packet ends that carries something: not ERQ, EOF or one of the extension

	marks    marks
	usual    int           // bytes of the last batch: the next is likely to become as large
	rejected int           // bytes of rejections in the batch that is being written
	full     chan struct{} // ends a flush delay early; nil if there is none
}

// batch is a buffer of encoded packets. packets describes them, but only where
// an observer wants to know when they are written.
type batch struct {
	buf        *buffer
	sent       *mark // nil: nobody wants to know
	count      int   // of packets
	packets    []Packet
	rejections int // bytes
	charged    int // taken of the budget
}

// letGo gives the batch's memory back.
func (b *batch) letGo(budget *Budget) {
	b.buf.release()
	budget.giveBack(b.charged)
	*b = batch{}
}

// enough says whether a flush waits no longer for others to add to the batch.
func (b *batch) enough() bool {
	return b.count >= flushPackets || b.buf != nil && len(b.buf.b) >= flushSize
}

// rejections is how many bytes of rejections wait to be sent.
func (o *outbox) rejections() int { return o.rejected + o.pending.rejections }

// queuePacket appends a packet to the queue, whether there is room or not: who
// must wait has done so. It reports whether the caller has the write role now
// and must flush. mu is held.
func (c *Conn) queuePacket(p *Packet) (mustFlush bool) {
	o := &c.out
	room := maxHeaderBytes + len(p.Payload)
	if o.pending.buf == nil {
		o.pending.buf = newBuffer(c.roomFor(room))
		if c.watch.Load().wants&(ofEnds|1<<EventSlowWrite) != 0 {
			o.pending.sent = o.marks.next()
		}
	}
	o.pending.buf.grow(room)
	if n := cap(o.pending.buf.b); n > uncountedSend && n > o.pending.charged {
		c.opts.Budget.force(n - o.pending.charged)
		o.pending.charged = n
	}
	before := len(o.pending.buf.b)
	o.pending.buf.b = p.append(o.pending.buf.b)
	o.queued += uint64(len(o.pending.buf.b) - before)
	if (p.Kind == KindRequest || p.Kind == KindResponse) && p.Channel != ControlChannel {
		o.content = o.queued
	}
	if c.wants(EventPacketWritten) {
		note := *p
		note.Payload = nil
		o.pending.packets = append(o.pending.packets, note)
	}
	o.pending.count++
	c.stats.PacketsSent++
	c.touch()
	if c.opts.FlushDelay > 0 && (o.pending.enough() || p.Kind == KindEOF) {
		waiter(o.full).wake()
	}
	return c.mustFlush()
}

const (
	minLarge = 8 << 10 // from here on a packet is a large one
	maxUsual = 2 << 20 // bounds what is taken because the last batch needed it
)

// roomFor is how large a new batch's buffer is made, for a first packet of a size: with a
// large one as the last batch became, since growing is copying. mu is held.
func (c *Conn) roomFor(n int) int {
	if n < minLarge || c.opts.Budget.scarce() {
		return n
	}
	return max(n, min(c.out.usual, maxUsual))
}

// mustFlush takes the write role if there is something to write and nobody does
// or will. mu is held.
func (c *Conn) mustFlush() bool {
	o := &c.out
	if o.writing || o.pending.buf == nil || (o.holding && !o.pending.enough()) {
		return false
	}
	o.writing = true
	return true
}

// flushAsCaller writes what is queued, first letting others add to it. The
// write role is held; no lock is. It does not wait for the stream.
func (c *Conn) flushAsCaller() {
	if c.opts.FlushDelay == 0 && c.tr.socket != nil {
		yield()
	}
	c.flush(0)
}

// flush writes what is queued. The write role is held; no lock is. It does not
// wait for the stream. at is when the clock was looked at right before; 0: it was not.
func (c *Conn) flush(at moment) {
	if c.opts.FlushDelay > 0 || c.tr.socket == nil {
		go c.writeAll(batch{}, 0, c.opts.FlushDelay)
		return
	}
	b, ok := c.nextBatch(0)
	for range maxTurns {
		if !ok {
			return
		}
		b.sent.set(at)
		n, err := c.tr.socket.tryWrite(b.buf.b)
		if err != nil {
			c.writeFailed(b, n, err)
			return
		}
		if n < len(b.buf.b) {
			c.stalled()
			c.progress(n)
			go c.writeAll(b, n, 0)
			return
		}
		c.wrote(b)
		b, ok = c.nextBatch(n)
		at = 0
	}
	if ok {
		go c.writeAll(b, 0, 0)
	}
}

// writeAll writes b from offset on and then everything queued, waiting for the
// stream as long as Options.WriteTimeout allows. It holds the write role.
func (c *Conn) writeAll(b batch, offset int, delay time.Duration) {
	if delay > 0 {
		c.holdBack(delay)
	}
	done, unflushed := 0, false
	for {
		if b.buf == nil {
			if unflushed && c.tr.flush != nil && c.queueEmpty() {
				if err := c.guard(c.tr.flush.Flush); err != nil {
					c.writeFailed(b, done, err)
					return
				}
			}
			var ok bool
			if b, ok = c.nextBatch(done); !ok {
				return
			}
			done, offset = 0, 0
		}
		if offset == 0 {
			b.sent.set(0)
		}
		n, err := c.writeChunk(b.buf.b[offset:])
		offset += n
		if err != nil {
			c.writeFailed(b, done+n, err)
			return
		}
		unflushed = true
		if offset == len(b.buf.b) {
			done += n
			c.slowWrite(b)
			c.wrote(b)
			b = batch{}
		} else {
			c.progress(n)
		}
	}
}

// holdBack waits until a flush delay has passed, or until there is enough to
// write. It holds the write role.
func (c *Conn) holdBack(delay time.Duration) {
	c.mu.Lock()
	select {
	case <-c.out.full: // left from an earlier batch
	default:
	}
	enough := c.life.dead || c.life.eofQueued || c.out.pending.enough()
	c.mu.Unlock()
	if enough {
		return
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.out.full:
	}
}

func (c *Conn) queueEmpty() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.pending.buf == nil
}

// writeChunk writes at least one byte of b, or fails. n is how many bytes may
// have been taken.
func (c *Conn) writeChunk(b []byte) (n int, err error) {
	if c.tr.writeDeadline == nil {
		b = b[:min(len(b), writeChunkBlind)]
		err = c.guard(func() error { n, err = c.tr.w.Write(b); return err })
	} else {
		limit := writeChunk
		if c.tr.records {
			limit = writeChunkBlind // one record: what is cut short cannot be continued
		}
		b = b[:min(len(b), limit)]
		_ = c.tr.writeDeadline(time.Now().Add(c.opts.WriteTimeout))
		if c.ended.Load() { // else its interruption may have come before the deadline was set
			err = ErrClosed
		} else {
			n, err = c.tr.w.Write(b)
		}
		_ = c.tr.writeDeadline(time.Time{})
	}
	switch {
	case n < 0 || n > len(b):
		return len(b), fmt.Errorf("the stream says that it took %d of %d bytes", n, len(b))
	case n > 0 && errors.Is(err, os.ErrDeadlineExceeded):
		return n, nil // slow, but not stuck
	case errors.Is(err, os.ErrDeadlineExceeded):
		return n, fmt.Errorf("%w for %v", ErrSlowConsumer, c.opts.WriteTimeout)
	case n == 0 && err == nil && len(b) > 0:
		return n, io.ErrNoProgress
	}
	return n, err
}

// guard runs a write on a stream without deadlines. When it takes too long the
// connection ends, though the write itself cannot be interrupted.
func (c *Conn) guard(write func() error) error {
	timer := time.AfterFunc(c.opts.WriteTimeout, func() {
		c.end(ReasonSlowConsumer, fmt.Errorf("%w for %v", ErrSlowConsumer, c.opts.WriteTimeout))
	})
	defer timer.Stop()
	return write()
}

// nextBatch accounts for n written bytes and takes what is pending. If there is
// nothing, the write role ends and ok is false.
func (c *Conn) nextBatch(n int) (b batch, ok bool) {
	c.mu.Lock()
	o := &c.out
	c.hasWritten(n)
	o.rejected = o.pending.rejections
	if o.pending.buf != nil && !c.life.dead {
		b, o.pending = o.pending, batch{}
		o.taken, o.usual = o.queued, len(b.buf.b)
		c.mu.Unlock()
		return b, true
	}
	o.writing = false
	finished := c.sendingEnded()
	c.maybeDone()
	c.mu.Unlock()
	finished()
	return batch{}, false
}

// progress accounts for n written bytes of a batch.
func (c *Conn) progress(n int) {
	c.mu.Lock()
	c.hasWritten(n)
	c.mu.Unlock()
}

// hasWritten is progress, where mu is held.
func (c *Conn) hasWritten(n int) {
	c.out.written += uint64(n)
	c.ext.ping.progress(c.out.written)
	c.gate.wake(c)
}

// slowWrite notes that a batch is written whose stream may have kept it waiting.
func (c *Conn) slowWrite(b batch) {
	handed := b.sent.get()
	b.sent.set(0)
	if took := handed.until(b.sent.get()); took >= slowWrite && c.wants(EventSlowWrite) {
		c.observe(c.base, &Event{Kind: EventSlowWrite, Duration: took, Size: len(b.buf.b)})
	}
}

// wrote lets go of a batch that is written.
func (c *Conn) wrote(b batch) {
	if c.wants(EventPacketWritten) {
		for i := range b.packets {
			c.observePacket(c.base, EventPacketWritten, &b.packets[i])
		}
	}
	if c.wants(EventFlushed) {
		c.observe(c.base, &Event{Kind: EventFlushed, Size: len(b.buf.b)})
	}
	b.letGo(c.opts.Budget)
}

func (c *Conn) stalled() {
	c.mu.Lock()
	c.stats.Stalls++
	size := int(c.out.queued - c.out.written)
	c.mu.Unlock()
	if c.wants(EventStalled) {
		c.observe(c.base, &Event{Kind: EventStalled, Size: size})
	}
}

// writeFailed ends the connection and the write role. b is what was being
// written, if anything.
func (c *Conn) writeFailed(b batch, n int, err error) {
	b.letGo(c.opts.Budget)
	c.mu.Lock()
	c.out.written += uint64(n)
	c.out.taken = c.out.written // what lies behind cannot have reached the peer
	// A peer that has ended may be gone before our ERQ and EOF come.
	orderly := c.life.receiveEnded && c.life.cause == nil && c.life.eofQueued && c.out.written >= c.out.content
	c.mu.Unlock()
	reason := ReasonWriteError
	if errors.Is(err, ErrSlowConsumer) {
		reason = ReasonSlowConsumer
	}
	if orderly {
		c.end(c.peerReason(), nil)
	} else {
		c.end(reason, fmt.Errorf("write: %w", err))
	}
	c.mu.Lock()
	c.out.writing = false
	c.maybeDone()
	c.mu.Unlock()
}
