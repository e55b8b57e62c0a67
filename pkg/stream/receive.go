package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// maxArrivals is how many responses are settled at once. Callers whom that has woken run
// before more are woken, while what they need is still in the caches of the processor.
const maxArrivals = 64

// arrival is a response that was read and not yet given to its call. Its payload
// lies in the read buffer.
type arrival struct {
	packet Packet
	call   *Call
}

// errPeerEOF ends the read loop in order.
var errPeerEOF = errors.New("EOF packet")

// receive is the connection's reader. It reads until the peer ends or the
// stream fails, and waits for nobody but the peer, except when accepted requests
// are at their limit (see admit).
func (c *Conn) receive() {
	err := c.readLoop()
	if errors.Is(err, errRoleLost) {
		return
	}
	if c.role.watch != nil {
		c.role.watch.Stop() // no handler runs on the reader any more
	}
	if errors.Is(err, errPeerEOF) {
		c.in.keepRest()
	}
	c.in.close()
	c.receivingEnded(err)
	c.mu.Lock()
	c.life.readerGone = true
	c.mu.Unlock()
	if c.ended.Load() && c.tr.readDeadline != nil {
		_ = c.tr.readDeadline(time.Time{}) // it was set to interrupt this goroutine
	}
	c.mu.Lock()
	c.life.readerLeft = true
	c.maybeDone()
	c.mu.Unlock()
}

func (c *Conn) readLoop() error {
	in := &c.in
	for {
		need, err := c.parseAll()
		if errors.Is(err, errRoleLost) {
			return err
		}
		c.endBatch()
		if err != nil {
			return err
		}
		in.timed = c.watch.Load().wants != 0
		err = in.fill(need)
		if errors.Is(err, errNoMemory) {
			if err = c.unaffordable(need); err == nil {
				continue
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) || (in.start == in.end && in.skip == 0) {
				return err
			}
			return &ProtocolError{
				Kind: ProtocolTruncated, Offset: in.offset, Field: "packet",
				Problem: fmt.Sprintf("the stream ends inside it, after %d of at least %d bytes", in.end-in.start, need),
			}
		}
		if in.offset == 0 {
			if err := foreign(in.unread()); err != nil {
				return err
			}
		}
	}
}

// parseAll handles all whole packets in the buffer. need is how many bytes the
// next one takes at the least.
func (c *Conn) parseAll() (need int, err error) {
	in := &c.in
	in.discard()
	p := &in.packet
	for {
		n, need, err := p.parse(in.unread(), c.opts.MaxPacket)
		if err != nil {
			if pe := (*ProtocolError)(nil); errors.As(err, &pe) {
				pe.Offset = in.offset
			}
			return 0, err
		}
		if n == 0 {
			p.Payload = nil // it may have the read buffer
			return need, nil
		}
		in.start += n
		in.offset += int64(n)
		in.forced = false
		in.packets++
		in.bytes += n
		if c.wants(EventPacketReceived) {
			c.observe(c.base, &Event{Kind: EventPacketReceived, Packet: *p, Size: n})
		}
		if p.Channel == ControlChannel && c.controlled(p) {
			continue
		}
		switch p.Kind {
		case KindResponse:
			in.arrivals = append(in.arrivals, arrival{packet: *p})
			if len(in.arrivals) == maxArrivals {
				c.settleArrivals()
				if in.woken {
					in.woken = false
					yield()
				}
				c.flushHeld(now(), maxHeldCalls)
			}
		case KindRequest:
			if !c.accept(p) {
				return 0, errRoleLost
			}
		case KindEndRequests:
			c.mu.Lock()
			c.life.peerRequestsEnded = true
			c.mu.Unlock()
			if c.wants(EventPeerEndRequests) {
				c.observe(c.base, &Event{Kind: EventPeerEndRequests, Packet: *p})
			}
		default: // EOF, or a malformed end, which is taken as one
			if c.wants(EventPeerEOF) {
				c.observe(c.base, &Event{Kind: EventPeerEOF, Packet: *p})
			}
			return 0, errPeerEOF
		}
	}
}

// unaffordable deals with a packet of size bytes of which a buffer full has come
// and for whose rest the budget has no memory. An answer that is waited for must
// be read all the same; anything else is dropped as it comes.
func (c *Conn) unaffordable(size int) error {
	in := &c.in
	body := in.unread()
	_, head, err := ConsumeUint(body)
	if err != nil {
		return err // it was read before
	}
	var p Packet
	if err := p.parseBody(body[head:]); err != nil { // all but the payload is there
		return err
	}
	if p.Kind == KindResponse {
		c.mu.Lock()
		ch := c.channel(p.Channel)
		in.forced = ch != nil && ch.calls.get(p.Tag) != nil
		c.mu.Unlock()
		if in.forced {
			return nil
		}
	}
	in.packets++
	in.skip = size
	if c.wants(EventPacketReceived) {
		c.observe(c.base, &Event{Kind: EventPacketReceived, Packet: p, Size: size})
	}
	switch p.Kind {
	case KindRequest:
		if !c.accept(&p) {
			return errRoleLost
		}
	case KindResponse:
		if c.wants(EventCallUnknown) {
			c.observe(c.base, &Event{Kind: EventCallUnknown, Packet: p})
		}
	default:
		return errPeerEOF // an end is never so long, but taken as one
	}
	return nil
}

// settleArrivals gives the responses that were read to their calls. There are some.
func (c *Conn) settleArrivals() {
	list := c.in.arrivals
	notifying, woken := false, 0
	c.mu.Lock()
	for i := range list {
		a := &list[i]
		ch := c.channel(a.packet.Channel)
		if ch == nil {
			continue
		}
		if a.call = ch.calls.take(a.packet.Tag); a.call == nil {
			continue
		}
		c.inFlight--
		c.stats.CallsAnswered++
		if a.call.notify != nil {
			notifying = true
		} else {
			woken++
		}
		if a.call.givenUp {
			c.givenUp--
		}
	}
	// Those who are woken are likely to ask again at once: the reader will flush
	// for all of them, at the end of the batch.
	c.out.holding, c.out.notifying = true, notifying
	c.in.woken = c.in.woken || woken > 0
	c.out.looks.woken += woken
	c.life.readerSettles = true // until endBatch
	c.gate.wake(c)
	c.advance()
	c.touch() // at once: nothing is awaited any more
	c.mu.Unlock()
	c.observeControls()

	var at moment
	if len(list) == c.in.packets {
		at = c.in.at // nothing but them has come since then
	}
	for i := range list {
		if i%endsAtOnce == 0 && c.watch.Load().lists.Has(EventCallDone) {
			if at == 0 || notifying {
				at = now()
			}
			c.listAnswers(list[i:min(i+endsAtOnce, len(list))], at)
		}
		a := &list[i]
		switch {
		case a.call == nil:
			if c.wants(EventCallUnknown) {
				c.observe(c.base, &Event{Kind: EventCallUnknown, Packet: a.packet})
			}
		case a.call.givenUp:
			if c.watch.Load().wantsOf(EventCallLate, a.call.followers) {
				e := a.call.event(EventCallLate)
				e.Size = len(a.packet.Payload)
				c.observe(a.call.ctx, e)
			}
		default:
			a.call.answered(&a.packet, c.in.at)
		}
		*a = arrival{}
	}
	c.in.arrivals = list[:0]
	if notifying {
		c.mu.Lock()
		c.out.notifying = false
		c.mu.Unlock()
	}
}

// answered settles the call with a response that came at a time. Its payload is copied.
func (call *Call) answered(p *Packet, at moment) {
	payload := call.resp.Payload[:0]
	if len(p.Payload) > cap(payload) {
		payload = make([]byte, 0, len(p.Payload))
	}
	payload = append(payload, p.Payload...)
	if p.OK {
		call.settle(at, OutcomeOK, Response{Flags: p.Flags, Payload: payload}, nil)
		return
	}
	err := call.fail(OutcomeRejected, nil)
	err.Remote, err.Flags, err.Payload = true, p.Flags, payload
	if call.conn.ext.has(FeatureMetadata) && call.late() {
		// The peer knows how long the caller waits, and may be the first to say that
		// this is over.
		err = call.fail(OutcomeDeadline, context.DeadlineExceeded)
	}
	err.Sent = true
	call.settle(at, err.Outcome, Response{}, err)
}

// late says whether the caller's time is over.
func (call *Call) late() bool {
	deadline, limited := call.ctx.Deadline()
	return limited && !time.Now().Before(deadline)
}

// largeBatch is how many packets of one batch are a sign that there is more to do
// than time for it: others get their turn then, and what they queue goes out with the
// rest. After few, with nobody woken, a turn costs more than it brings.
const largeBatch = 192

// endBatch does what is done once for all packets of a read: it settles
// responses, counts, and flushes what the reader and the callers it woke have
// queued meanwhile.
func (c *Conn) endBatch() {
	at := moment(0) // the last look at the clock, as long as it is right
	if c.in.served != nil {
		at = now()
		c.showServed(at)
	}
	if len(c.in.arrivals) > 0 {
		c.settleArrivals()
		at = 0
	}
	c.role.held = 0
	in := &c.in
	in.dropAside()
	c.mu.Lock()
	holding := c.out.holding
	c.mu.Unlock()
	if in.packets == 0 && !holding {
		return
	}
	if in.woken || in.packets >= largeBatch {
		in.woken = false
		yield() // let those who were woken queue what they have
		at = 0
	}
	c.mu.Lock()
	c.stats.PacketsReceived += uint64(in.packets)
	c.stats.BytesReceived += uint64(in.bytes)
	if in.packets > in.pings || in.packets == 0 {
		c.touch()
	}
	in.counted()
	at = c.out.looks.end(at)
	c.out.holding = false
	flush := c.mustFlush()
	if c.life.readerSettles {
		c.life.readerSettles = false
		c.maybeDone()
	}
	c.mu.Unlock()
	if flush {
		c.flush(at)
	}
}

// methods are the beginnings of requests and responses of HTTP.
var httpStarts = []string{
	"GET /", "HEAD /", "POST /", "PUT /", "DELETE /", "PATCH /", "OPTIONS ", "TRACE /", "CONNECT ", "PRI * HTTP/2", "HTTP/1.",
}

// foreign recognises streams that plainly are another protocol by their first
// bytes, none of which a peer could send first: tags begin at 2 and ascend.
func foreign(b []byte) error {
	for _, s := range httpStarts {
		if len(b) >= len(s) && string(b[:len(s)]) == s {
			return &ProtocolError{
				Kind: ProtocolNotPackets, Field: "first bytes",
				Problem: fmt.Sprintf("this is HTTP (%q): the packet port does not speak it, use the admin address", s),
			}
		}
	}
	// A TLS alert. As a packet it would be a request, and not the first.
	if len(b) >= 5 && b[0] == 0x15 && b[1] == 3 && b[2] == 3 && b[3] == 0 && b[4] == 2 {
		return &ProtocolError{
			Kind: ProtocolNotPackets, Field: "first bytes",
			Problem: "this is a TLS alert: that port speaks TLS, connect with TLS",
		}
	}
	// A TLS record (type, version 3.1 to 3.3, length) with a whole ClientHello
	// (type, length, version). An answer to tag 3 may begin with the first of
	// these bytes, so the two lengths have to agree.
	if len(b) >= 11 && b[0] == 0x16 && b[1] == 3 && b[2] >= 1 && b[2] <= 3 && b[5] == 1 && b[6] == 0 &&
		int(b[3])<<8|int(b[4]) == int(b[7])<<8|int(b[8])+4 && b[9] == 3 {
		return &ProtocolError{
			Kind: ProtocolNotPackets, Field: "first bytes",
			Problem: "this is a TLS handshake: this port speaks plain packets",
		}
	}
	return nil
}
