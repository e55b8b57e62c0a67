package stream

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// The extension is spoken between peers that both know it, on a channel of its own, in
// packets like all others (docs/PROTOCOL.md, section 20). The side that asks for it sends
// a hello first, and goes on at once; it is used from when the answer has come. A peer
// that does not know it rejects the hello, and never hears of it again.

// ControlChannel is the channel of the extension.
const ControlChannel = reservedFirst

// ExtensionMode says whether a connection speaks the extension.
type ExtensionMode uint8

// The modes.
const (
	// ExtensionDefault is ExtensionAsk for connections that a [Client] makes, and
	// ExtensionAnswer for others.
	ExtensionDefault ExtensionMode = iota
	ExtensionAnswer                // if the peer asks for it
	ExtensionAsk                   // also asks for it
	ExtensionOff                   // never
)

// Features is a set of what the extension has.
type Features uint64

// The features. A peer uses those that both have.
const (
	FeatureMetadata  Features = 1 << iota // traces, baggage and deadlines travel with requests
	FeatureCancel                         // a call that is given up is told to the peer
	FeaturePing                           // peers that are gone are found, and the round trip is measured
	FeatureCredit                         // the peer says how many requests it takes
	FeatureGoingAway                      // a peer that ends tells so before
	FeatureTimes                          // responses that took long come with the peer's times
	AllFeatures      Features = 1<<iota - 1
)

var featureNames = []string{"metadata", "cancel", "ping", "credit", "going_away", "times"}

// ParseFeatures is the set of features with some names; "all" stands for all of them. The
// error says which names there are.
func ParseFeatures(names ...string) (Features, error) {
	var f Features
	for _, name := range names {
		i := slices.Index(featureNames, name)
		switch {
		case i >= 0:
			f |= 1 << i
		case name == "all":
			f |= AllFeatures
		default:
			return 0, fmt.Errorf("there is no feature %q, but all, %s", name, strings.Join(featureNames, ", "))
		}
	}
	return f, nil
}

// Names lists the features that have one.
func (f Features) Names() []string {
	list := []string{}
	for i, name := range featureNames {
		if f>>i&1 != 0 {
			list = append(list, name)
		}
	}
	return list
}

// String is the names with commas.
func (f Features) String() string { return strings.Join(f.Names(), ",") }

const extensionVersion = 1

// extension is what a connection knows of it. Guarded by mu, but agreed.
type extension struct {
	// agreed are the features that both peers have. It changes once.
	agreed atomic.Uint64

	offered  Features
	nextTag  uint64
	hello    uint64 // tag of the hello that is not answered; 0: none
	helloAt  moment
	answered bool // the peer's hello has come

	endings atomic.Int64 // contexts of requests that end by themselves; see scope.ending

	leaving     atomic.Bool // the peer has told that it ends
	peerStopped bool        // it takes no new requests any more
	peerLimit   int         // of requests that the peer takes, 0: it has not said
	pong        uint64
	ping        ping
}

// has says whether both peers have a feature.
func (e *extension) has(f Features) bool { return Features(e.agreed.Load())&f != 0 }

// Features are those of the extension that both peers have; none while, or if, it is not
// agreed on.
func (c *Conn) Features() Features { return Features(c.ext.agreed.Load()) }

// offer is what this side has of the extension.
func (o *Options) offer() Features {
	if o.Extension == ExtensionOff {
		return 0
	}
	return AllFeatures &^ o.Without
}

// sayHello asks for the extension, before anything else is sent.
func (c *Conn) sayHello() {
	c.mu.Lock()
	c.ext.helloAt = now()
	c.ext.hello = c.queueMessage(&Message{Kind: MessageHello, Hello: c.hello(c.ext.offered)})
	flush := c.mustFlush()
	c.mu.Unlock()
	c.observeControls()
	if flush {
		go c.flushAsCaller() // with what is asked meanwhile
	}
}

func (c *Conn) hello(f Features) Hello {
	return Hello{Version: extensionVersion, Features: f, Credit: uint64(c.opts.MaxQueued + c.opts.MaxHandlers), Nonce: c.info.ID}
}

// queueMessage queues a message of the extension, and returns its tag; the write role, if
// it falls to us, is given back for the caller's mustFlush to take. mu is held.
func (c *Conn) queueMessage(m *Message) (tag uint64) {
	if c.life.eofQueued || c.life.dead {
		return 0
	}
	tag = c.ext.nextTag
	c.ext.nextTag++
	p := m.packet(tag)
	c.queueControl(&p)
	return tag
}

// controlled deals with a packet on the control channel. It runs on the reader, and
// reports whether it was one of the extension.
func (c *Conn) controlled(p *Packet) (ours bool) {
	switch p.Kind {
	case KindRequest:
		ours = c.control(p)
	case KindResponse:
		ours = c.controlResponse(p)
	}
	return ours
}

// control deals with a request on the control channel. It runs on the reader, and
// reports whether it was one of the extension: else it is like any other.
func (c *Conn) control(p *Packet) (ours bool) {
	if c.ext.offered == 0 {
		return false
	}
	m, err := ParseMessage(p)
	agreed := Features(c.ext.agreed.Load())
	switch {
	case err != nil, m.Kind != MessageHello && agreed&m.Kind.feature() == 0:
		return false
	case m.Kind == MessageHello:
		return c.answerHello(p, &m.Hello)
	case m.Kind == MessageMetadata:
		c.in.carried = m.Metadata
	case m.Kind == MessageCancel:
		c.cancelled(m.Channel, m.Tag)
	case m.Kind == MessagePing:
		c.in.pings++
		c.answerPing(p)
	case m.Kind == MessageCredit:
		c.mu.Lock()
		c.ext.peerLimit = limitOf(m.Credit)
		c.gate.wake(c)
		c.mu.Unlock()
	case m.Kind == MessageGoingAway:
		c.goingAway(m.Last)
	case m.Kind == MessageTimes:
		c.timesCame(&m.Times)
	}
	return true
}

func limitOf(credit uint64) int { return int(min(max(credit, 1), 1<<30)) }

// answerHello agrees on the extension, once.
func (c *Conn) answerHello(p *Packet, h *Hello) bool {
	c.mu.Lock()
	if c.ext.answered || h.Version == 0 {
		c.mu.Unlock()
		return false
	}
	c.ext.answered = true
	both := h.Features & c.ext.offered
	answer := c.hello(both)
	response := Packet{Kind: KindResponse, OK: true, Channel: ControlChannel, Tag: p.Tag, Payload: answer.append(nil)}
	if !c.life.eofQueued && !c.life.dead {
		c.out.holding = true // the reader flushes at the end of the batch
		c.queueControl(&response)
	}
	c.agree(both, h)
	c.mu.Unlock()
	c.observeControls()
	return true
}

// agree puts the extension in force. mu is held.
func (c *Conn) agree(both Features, h *Hello) {
	c.info.peerID.Store(h.Nonce)
	c.eachChannel(func(ch *channel) { ch.foreseen = foreseen{} }) // it has been for other identities
	if both&FeatureCredit != 0 {
		c.ext.peerLimit = limitOf(h.Credit)
	}
	if c.ext.agreed.Swap(uint64(both)) == 0 && both&FeaturePing != 0 {
		c.startPings()
	}
}

// controlResponse deals with a response on the control channel. It runs on the reader,
// and reports whether it was one to the extension.
func (c *Conn) controlResponse(p *Packet) (ours bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ext.hello != 0 && p.Tag == c.ext.hello:
		c.ext.hello = 0
		h, err := parseHello(p.Payload)
		if !p.OK || err != nil || h.Version != extensionVersion {
			return true // it does not know the extension, or not this one
		}
		c.ext.ping.roundTrip = c.ext.helloAt.until(now())
		c.agree(h.Features&c.ext.offered, &h)
		c.gate.wakeAll()
		return true
	case c.ext.ping.tag != 0 && p.Tag == c.ext.ping.tag:
		c.in.pings++
		c.ext.ping.answered()
		return true
	}
	return false
}

// cancelled ends the context of a request whose caller has given it up. It runs on the
// reader.
func (c *Conn) cancelled(channel, tag uint64) {
	end := func(error) {}
	c.mu.Lock()
	if ch := c.channel(channel); ch != nil {
		if in := ch.serving.get(tag); in != nil {
			end = in.giveUp()
		}
	}
	c.mu.Unlock()
	end(errGivenUp)
}

// timesCame notes the peer's times for a call that is about to be answered. It runs on
// the reader.
func (c *Conn) timesCame(t *Times) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ch := c.channel(t.Channel); ch != nil {
		if call := ch.calls.get(t.Tag); call != nil {
			call.remote = remoteOf(t)
		}
	}
}

// tellCancelled tells the peer that a call was given up, as far as that is agreed. mu is
// held; the caller flushes.
func (c *Conn) tellCancelled(call *Call) {
	if c.ext.has(FeatureCancel) {
		c.queueMessage(&Message{Kind: MessageCancel, Channel: call.channel, Tag: call.tag})
	}
}

// ErrGoingAway is the cause of calls that the peer will not serve any more, since it ends:
// they may be sent elsewhere.
var ErrGoingAway = fmt.Errorf("%w: it is going away, and does not serve this request", ErrPeerEnded)

// goingAway notes that the peer ends. It serves what has been sent, unless last says up
// to which tag of each channel. It runs on the reader.
func (c *Conn) goingAway(last []ChannelTag) {
	c.mu.Lock()
	c.ext.leaving.Store(true)
	c.ext.peerStopped = c.ext.peerStopped || len(last) > 0
	var lost []*Call
	if len(last) > 0 {
		c.eachChannel(func(ch *channel) {
			served := uint64(0)
			for _, l := range last {
				if l.Channel == ch.number {
					served = l.Tag
				}
			}
			for tag, call := range ch.calls.all {
				if tag > served && !call.givenUp {
					call.givenUp = true // its answer, a rejection, is dropped
					call.resp.Payload = nil
					c.givenUp++
					lost = append(lost, call)
				}
			}
		})
		c.life.givingUp++
	}
	c.gate.wakeAll()
	c.mu.Unlock()
	for _, call := range lost {
		call.settle(0, OutcomeLost, Response{}, call.fail(OutcomeLost, ErrGoingAway))
	}
	if len(last) > 0 {
		c.mu.Lock()
		c.life.givingUp--
		c.advance()
		c.maybeDone()
		c.mu.Unlock()
	}
	c.observeControls()
}

// PeerGoingAway says whether the peer has told that it ends: new requests should go
// elsewhere. A [Client] sees to that.
func (c *Conn) PeerGoingAway() bool { return c.ext.leaving.Load() }

// tellGoingAway tells the peer that this side ends, and served: which requests it serves
// still. mu is held; the caller flushes.
func (c *Conn) tellGoingAway(final bool) {
	if !c.ext.has(FeatureGoingAway) {
		return
	}
	m := Message{Kind: MessageGoingAway}
	if final {
		c.eachChannel(func(ch *channel) { m.Last = append(m.Last, ChannelTag{ch.number, ch.lastServed}) })
	}
	c.queueMessage(&m)
}

// callLimit is how many calls may be in flight. mu is held.
func (c *Conn) callLimit() int {
	if n := c.ext.peerLimit; n > 0 && n < c.opts.MaxInFlight {
		return n
	}
	return c.opts.MaxInFlight
}

// timesFrom is how long a request takes whose response comes with this side's times:
// beside that, what they cost is nothing.
const timesFrom = time.Millisecond

// tellTimes sends a request's times before its response. mu is held.
func (c *Conn) tellTimes(in *inbound) {
	if in.answered == 0 || !c.ext.has(FeatureTimes) {
		return
	}
	if took := in.begun.until(in.answered); took >= timesFrom {
		waited := time.Duration(in.waited.Load())
		c.queueMessage(&Message{Kind: MessageTimes, Times: Times{
			Channel: in.channel.number, Tag: in.tag, Queued: waited, Handled: took - waited,
		}})
	}
}
