package stream

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Conn is one connection: both ends ask and answer over one byte stream in each
// direction. All methods may be called concurrently. (PacketConnection of the
// Python package.)
//
// A connection has a reader goroutine, a goroutine for each request that is
// being handled, and one that writes, but only while the stream takes bytes
// more slowly than they come.
type Conn struct {
	opts   Options // frozen
	watch  atomic.Pointer[watch]
	asking sync.Mutex // held while watch is replaced, and the observer asked
	valuer Valuer     // the observer, if it is one
	info   *ConnInfo
	tr     *transport

	// base is the parent of handlers' contexts. It ends with the connection.
	base   context.Context
	cancel context.CancelFunc

	received chan struct{} // closed when receiving has ended
	done     chan struct{} // closed when everything has ended

	callPool sync.Pool

	ext   extension
	in    input // owned by the reader
	role  role
	ended atomic.Bool // life.dead, for those without mu

	// mu guards all below. It is held for short, bounded work only: never
	// while reading, writing, calling a handler or an observer.
	mu       sync.Mutex
	ch0      channel
	channels map[uint64]*channel // those other than 0; the map itself is frozen
	life     life
	out      outbox
	gate     gate
	dispatch dispatch
	stats    Stats
	inFlight int // this side's requests in the tables, given-up ones too
	givenUp  int // those of them that were given up

	lastActive moment      // only kept when Options.IdleTimeout is set
	idle       *time.Timer // likewise
}

// channel is the state of one channel.
type channel struct {
	conn    *Conn
	number  uint64
	handler Handler // nil: requests are refused
	mux     *Mux    // handler, if it is one
	own     *pace   // of a handler that is none
	nextTag uint64
	// lastServed is the highest tag of a request that was accepted.
	lastServed uint64
	calls      tagTable[Call]    // this side's requests
	serving    tagTable[inbound] // the peer's accepted requests
	foreseen   foreseen          // of the peer's requests
}

func (ch *channel) init(c *Conn, number uint64, h Handler) {
	ch.conn, ch.number, ch.handler, ch.nextTag = c, number, h, firstTag
	if ch.mux, _ = h.(*Mux); ch.mux == nil && h != nil {
		ch.own = new(pace)
	}
}

// route returns who serves a type, and how quickly; with a nil pace it cannot be
// known.
func (ch *channel) route(typ uint64) (Handler, *pace) {
	if ch.mux != nil {
		return ch.mux.route(typ)
	}
	return ch.handler, ch.own
}

// NewConn starts a connection over s: a bidirectional stream such as a
// [net.Conn], one descriptor as an [os.File], or two one-way streams made one by
// [Join]. It reads and writes s until the connection has ended, and does not
// close it: close s after Shutdown or Close has returned. (To have streams
// dialled and closed, see [Client].) It may read ahead of the peer's EOF: only a
// stream made by Join keeps such bytes for a next connection. It does not block. The error, if any, names
// every option that is wrong.
//
// Where s has deadlines the connection uses them, and takes them back at the
// end. Where it has none, Close cannot interrupt a Read that waits: that
// goroutine then ends when s is closed.
func NewConn(s io.ReadWriter, o Options) (*Conn, error) {
	if s == nil {
		return nil, fmt.Errorf("stream: NewConn needs a stream, got nil")
	}
	o, err := o.validated()
	if err != nil {
		return nil, err
	}
	c := &Conn{
		opts:     o,
		info:     &ConnInfo{ID: rand.Uint64() | 1, Name: o.Name, Peer: o.Peer, Opened: time.Now()},
		tr:       newTransport(s),
		received: make(chan struct{}),
		done:     make(chan struct{}),
	}
	c.base, c.cancel = context.WithCancel(o.BaseContext)
	c.watch.Store(newWatch(o.Observer))
	c.valuer, _ = o.Observer.(Valuer)
	c.ch0.init(c, 0, o.Handler)
	for number, h := range o.Channels {
		if c.channels == nil {
			c.channels = make(map[uint64]*channel, len(o.Channels))
		}
		ch := new(channel)
		ch.init(c, number, h)
		c.channels[number] = ch
	}
	if o.FlushDelay > 0 {
		c.out.full = make(chan struct{}, 1)
	}
	c.in.init(c.tr, &c.opts, func() {
		c.end(ReasonSlowSender, fmt.Errorf("%w: no byte for %v", ErrSlowSender, c.opts.ReadTimeout))
	})
	if c.wants(EventConnOpened) {
		c.observe(c.base, &Event{Kind: EventConnOpened})
	}
	c.startTimers()
	c.ext.offered, c.ext.nextTag = o.offer(), firstTag
	if o.Extension == ExtensionAsk && c.ext.offered != 0 {
		c.sayHello()
	}
	go c.receive()
	return c, nil
}

// Info is what is known of the connection for ever. It may be kept, without keeping the
// connection itself in memory, and must not be changed.
func (c *Conn) Info() *ConnInfo { return c.info }

// Name is the connection's name: Options.Name, or a number.
func (c *Conn) Name() string { return c.info.Name }

// ID is ConnInfo.ID.
func (c *Conn) ID() uint64 { return c.info.ID }

// Opened is when the connection was made.
func (c *Conn) Opened() time.Time { return c.info.Opened }

// Received is closed when receiving has ended: the peer has sent EOF, or its
// stream has ended or failed. A server waits for it, then calls Shutdown
// (join_recv). Requests accepted before are still answered.
func (c *Conn) Received() <-chan struct{} { return c.received }

// AfterReceived calls f in a goroutine of its own when receiving has ended (see
// Received), or now if it has: for servers of many connections, which need no goroutine
// for each that only waits for that. It does not block, and may be called any number of
// times.
func (c *Conn) AfterReceived(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.received:
		go f()
	default:
		c.life.received = append(c.life.received, f)
	}
}

// Done is closed when the connection has ended in both directions and every
// call has its outcome.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err is why the connection ended: nil while it is open and after an orderly
// end, else the cause, such as a [*ProtocolError] or [ErrSlowConsumer].
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.life.cause
}

// Reason is why the connection ended, or ReasonNone while it is open.
func (c *Conn) Reason() Reason {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.life.reason
}

// Stats returns the connection's counters and levels. It does not block.
func (c *Conn) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.InFlight = c.inFlight
	s.Serving = c.dispatch.running
	s.Queued = c.dispatch.waiting.len()
	s.QueuedBytes = c.dispatch.bytes
	s.SendQueued = int(c.out.queued - c.out.written)
	s.BytesSent = c.out.written
	s.Receiving = int(c.in.partial.Load())
	s.Paused = c.dispatch.paused
	s.RoundTrip = c.ext.ping.roundTrip
	return s
}

// OpenRequests lists the requests of both roles that have no answer yet, in no
// order. On a connection without an observer it does not know since when.
func (c *Conn) OpenRequests() []OpenRequest {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]OpenRequest, 0, c.inFlight+c.dispatch.active)
	add := func(ch *channel) {
		for _, call := range ch.calls.all {
			r := OpenRequest{
				Role: RoleClient, State: StateWaiting, Channel: ch.number, Tag: call.tag,
				Type: call.typ, Flags: call.flags, Size: call.size, Label: call.Label(), Begun: call.begun.time(),
				Waited: call.waited, Sent: call.sent.since(call.begun),
			}
			if call.givenUp {
				r.State = StateGivenUp
			}
			list = append(list, r)
		}
		for _, in := range ch.serving.all {
			r := OpenRequest{
				Role: RoleServer, State: StateRunning, Channel: ch.number, Tag: in.tag,
				Type: in.typ, Flags: in.flags, Size: in.size, Begun: in.begun.time(),
				Waited: time.Duration(in.waited.Load()), Sent: -1,
			}
			if in.queued {
				r.State = StateQueued
			}
			list = append(list, r)
		}
	}
	add(&c.ch0)
	for _, ch := range c.channels {
		add(ch)
	}
	return list
}

// channel returns an open channel, or nil.
func (c *Conn) channel(number uint64) *channel {
	if number == 0 {
		return &c.ch0
	}
	return c.channels[number]
}

// eachChannel calls f for every channel. mu is held.
func (c *Conn) eachChannel(f func(*channel)) {
	f(&c.ch0)
	for _, ch := range c.channels {
		f(ch)
	}
}

// yield lets the goroutines that are ready run first, so that what they have to
// send leaves in the same write.
func yield() { runtime.Gosched() }
