package stream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"strconv"
	"sync/atomic"
	"time"
)

// Defaults of [Options].
const (
	DefaultMaxPacket      = 64 << 20
	DefaultMaxHandlers    = 1024
	DefaultMaxQueued      = 32 << 10
	DefaultMaxQueuedBytes = 64 << 20
	DefaultMaxInFlight    = 64 << 10
	DefaultSendBuffer     = 1 << 20
	DefaultWriteTimeout   = 30 * time.Second
	DefaultReadTimeout    = 30 * time.Second
	DefaultPauseTimeout   = 20 * time.Second
	DefaultDrainTimeout   = 5 * time.Second
	DefaultLinger         = time.Second
	DefaultPingInterval   = 30 * time.Second
	DefaultPingTimeout    = 20 * time.Second
)

// Channels from reservedFirst to reservedLast are kept for the protocol's own
// extensions and refused to applications.
const (
	reservedFirst = 112
	reservedLast  = 127
)

// Options configure a connection. The zero value works: a connection that only
// asks, with every limit at its default. NewConn copies them; later changes
// have no effect. A limit of zero means its default, a negative one is an error.
type Options struct {
	// Name appears in errors, logs and the names of calls. Default: a number
	// from a sequence of the process.
	Name string

	// Handler serves the peer's requests on channel 0. Without one they are
	// answered not ok with "no request handler". *Mux is a Handler.
	Handler Handler

	// Channels opens further channels, each with a handler of its own, or with
	// nil for a channel on which this side only asks. Both peers must open a
	// channel. The numbers 112 to 127 are reserved. The Python package knows
	// channel 0 alone.
	Channels map[uint64]Handler

	// Peer is who is at the other end, for handlers, observers and Authorize.
	Peer Peer

	// Authorize decides whether the peer may send requests of a type on a channel.
	// The text of an error is told to the peer, behind "forbidden: ". It is called for
	// each request before it is accepted, on the reader's goroutine: it must not
	// block, and may be called by many connections at once. Default: all may.
	Authorize func(peer Peer, channel, typ uint64) error

	// Observer sees what happens; see Observers to combine several.
	Observer Observer

	// BaseContext is the parent of every handler's context, for values and
	// cancellation. Default: context.Background().
	BaseContext context.Context

	// FlushDelay holds back written packets, so that more leave in one write
	// (packet_grace). Default 0: what is queued leaves at once, together.
	FlushDelay time.Duration

	// NoPolling lets the reader of a socket wait as soon as nothing is there, instead
	// of asking again for some 50 µs, longer after many packets and up to a millisecond,
	// where that has paid before. That saves CPU time
	// where little comes in short intervals, and costs much of the speed.
	NoPolling bool

	MaxPacket      int // longest packet body accepted or sent, in bytes (64 MiB)
	MaxHandlers    int // handlers that run at a time (1024)
	MaxQueued      int // accepted requests that wait for a handler (32768)
	MaxQueuedBytes int // payload bytes of accepted, unanswered requests (64 MiB)
	MaxInFlight    int // this side's unanswered requests, beside one per handler; a further one waits (65536)
	SendBuffer     int // bytes queued for sending beyond which senders wait (1 MiB)

	// Budget bounds the memory of all connections that it is given to. Default: none.
	Budget *Budget

	// WriteTimeout ends the connection as a slow consumer when the peer takes
	// no byte for so long while some wait to be sent. Default 30 s.
	WriteTimeout time.Duration

	// ReadTimeout ends the connection as a slow sender when no byte comes for so
	// long in the middle of a packet. Default 30 s.
	ReadTimeout time.Duration

	// PauseTimeout bounds how long a peer is slowed down. While accepted requests
	// are at their limit this side does not read; when none of them has ended for
	// so long, it reads on and rejects further requests until one does. So handlers
	// that never return cannot hide the peer's end. Default 20 s: less than the
	// WriteTimeout of a peer that has to wait meanwhile.
	PauseTimeout time.Duration

	// DrainTimeout is how long Shutdown goes on serving the peer's new requests
	// before it rejects them. Default 5 s.
	DrainTimeout time.Duration
	// Linger is how long Shutdown waits for the peer's EOF when everything of
	// this side has been sent. Default 1 s.
	Linger time.Duration

	// Extension says whether the extension is spoken, by which peers of this kind tell
	// each other more. Without are the features of it that are not used.
	Extension ExtensionMode
	Without   Features

	// PingInterval is how often the side that has asked for the extension pings the peer
	// (30 s; negative: never), and PingTimeout how long nothing at all may come after a
	// ping until the peer is taken to be dead (20 s): longer than what is under way before
	// the ping may take on the slowest of links.
	PingInterval, PingTimeout time.Duration

	// FirstByteTimeout ends a connection on which nothing at all has come by then.
	// Zero, as for the next two, means never: a quiet peer is legal.
	FirstByteTimeout time.Duration
	// IdleTimeout ends, in order, a connection without a packet or a part of one in
	// either direction for so long, and without a request that waits for its answer.
	IdleTimeout time.Duration
	// MaxAge ends, in order, a connection that has been open for so long, or for up
	// to a tenth less at random, so that connections that were opened together do
	// not end together: it takes no new calls then, and waits for those in flight.
	MaxAge time.Duration
}

var connSequence atomic.Uint64

// validated returns a copy of o with defaults filled in, or an error that names
// every option that is wrong.
func (o Options) validated() (Options, error) {
	var errs []error
	size := func(name string, v *int, def int) {
		if *v < 0 {
			errs = append(errs, fmt.Errorf("stream: Options.%s is %d, want 0 for the default or more", name, *v))
		}
		if *v == 0 {
			*v = def
		}
		*v = min(*v, math.MaxInt/4) // so that sums of limits do not overflow
	}
	span := func(name string, v *time.Duration, def time.Duration) {
		if *v < 0 {
			errs = append(errs, fmt.Errorf("stream: Options.%s is %v, want 0 for the default or more", name, *v))
		}
		if *v == 0 {
			*v = def
		}
	}
	size("MaxPacket", &o.MaxPacket, DefaultMaxPacket)
	size("MaxHandlers", &o.MaxHandlers, DefaultMaxHandlers)
	size("MaxQueued", &o.MaxQueued, DefaultMaxQueued)
	size("MaxQueuedBytes", &o.MaxQueuedBytes, DefaultMaxQueuedBytes)
	size("MaxInFlight", &o.MaxInFlight, DefaultMaxInFlight)
	size("SendBuffer", &o.SendBuffer, DefaultSendBuffer)
	span("WriteTimeout", &o.WriteTimeout, DefaultWriteTimeout)
	span("ReadTimeout", &o.ReadTimeout, DefaultReadTimeout)
	span("PauseTimeout", &o.PauseTimeout, DefaultPauseTimeout)
	span("DrainTimeout", &o.DrainTimeout, DefaultDrainTimeout)
	span("Linger", &o.Linger, DefaultLinger)
	span("FlushDelay", &o.FlushDelay, 0)
	if o.PingInterval < 0 {
		o.PingInterval = -1
	} else {
		span("PingInterval", &o.PingInterval, DefaultPingInterval)
	}
	span("PingTimeout", &o.PingTimeout, DefaultPingTimeout)
	span("FirstByteTimeout", &o.FirstByteTimeout, 0)
	span("IdleTimeout", &o.IdleTimeout, 0)
	span("MaxAge", &o.MaxAge, 0)
	for channel := range o.Channels {
		if channel == 0 {
			errs = append(errs, errors.New("stream: Options.Channels names channel 0, whose handler is Options.Handler"))
		}
		if reservedChannel(channel) {
			errs = append(errs, fmt.Errorf("stream: Options.Channels names channel %d, but %d to %d are reserved", channel, reservedFirst, reservedLast))
		}
	}
	o.Channels = maps.Clone(o.Channels)
	if o.BaseContext == nil {
		o.BaseContext = context.Background()
	}
	if o.Name == "" {
		o.Name = strconv.FormatUint(connSequence.Add(1), 10)
	}
	return o, errors.Join(errs...)
}

func reservedChannel(c uint64) bool { return c >= reservedFirst && c <= reservedLast }
