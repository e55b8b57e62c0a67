package stream

import (
	"context"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults of [ClientOptions].
const (
	DefaultKeepOpen     = time.Minute
	DefaultMinBackoff   = 50 * time.Millisecond
	DefaultMaxBackoff   = 10 * time.Second
	DefaultDialAttempts = 4
)

// Dial makes a stream for a connection. closeStream is called once when that
// connection has ended; it may be nil.
type Dial func(ctx context.Context) (s io.ReadWriter, closeStream func() error, err error)

// DialNetwork returns a Dial for an address as [net.Dial] takes it, such as
// "tcp" and "127.0.0.1:7450", or "unix" and a path.
func DialNetwork(network, address string) Dial {
	return func(ctx context.Context) (io.ReadWriter, func() error, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, nil, err
		}
		return nc, nc.Close, nil
	}
}

// ClientOptions configure a [Client]. The zero value works.
type ClientOptions struct {
	// Conn are the options of every connection that the client makes. If it has
	// a name, later connections are called NAME-2, NAME-3 and so on.
	Conn Options

	// KeepOpen is how long a connection stays open that nobody uses, neither by a
	// hold nor by a request in either direction; up to a quarter longer. Default
	// 1 min; negative: it is closed as soon as no hold and no call is open.
	KeepOpen time.Duration

	// Dialling is tried up to DialAttempts times (4) before those who wait for a
	// connection get the error, with pauses that double from MinBackoff (50 ms)
	// to MaxBackoff (10 s) and are shortened at random by up to half. A
	// connection that is lost without having answered anything counts as a
	// failure. While one whose peer is going away still serves nobody waits, and
	// dials take none of the attempts.
	DialAttempts           int
	MinBackoff, MaxBackoff time.Duration

	// Random gives numbers from 0 to 1 for the pauses. Default: math/rand/v2.
	Random func() float64
}

// Client is a connection on demand: it dials at the first call, closes when
// nobody uses it, and dials again when the connection was lost. Its methods may
// be called concurrently.
type Client struct {
	dial Dial
	opts ClientOptions // frozen

	ctx    context.Context // of dialling; ends with the client
	cancel context.CancelFunc
	keeper sync.WaitGroup // goroutines that dial, and that look after connections

	current atomic.Pointer[Conn] // written under mu

	mu       sync.Mutex
	dialling *dialling          // nil unless somebody dials
	conns    map[*Conn]*connUse // that have not ended yet
	made     int                // connections, for their names
	failures int                // in a row
	failed   time.Time          // when the last was
	closed   bool
}

// NewClient returns a client that makes its streams with dial. It does not dial
// yet. The error, if any, names every option that is wrong.
func NewClient(dial Dial, o ClientOptions) (*Client, error) {
	var errs []error
	if dial == nil {
		errs = append(errs, errors.New("stream: NewClient needs a Dial, got nil"))
	}
	if _, err := o.Conn.validated(); err != nil {
		errs = append(errs, err)
	}
	if o.DialAttempts < 0 || o.MinBackoff < 0 || o.MaxBackoff < 0 {
		errs = append(errs, errors.New("stream: DialAttempts, MinBackoff and MaxBackoff of ClientOptions must be 0 for the default or more"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if o.KeepOpen == 0 {
		o.KeepOpen = DefaultKeepOpen
	}
	if o.DialAttempts == 0 {
		o.DialAttempts = DefaultDialAttempts
	}
	if o.MinBackoff == 0 {
		o.MinBackoff = DefaultMinBackoff
	}
	if o.MaxBackoff == 0 {
		o.MaxBackoff = DefaultMaxBackoff
	}
	o.MaxBackoff = max(o.MaxBackoff, o.MinBackoff)
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Conn.Extension == ExtensionDefault {
		o.Conn.Extension = ExtensionAsk
	}
	c := &Client{dial: dial, opts: o, conns: make(map[*Conn]*connUse)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// Call is [Conn.Call] over the current connection, which is made if there is
// none. A request of which nothing had been sent when the connection was lost is
// sent again over a new one, and so is one that the peer has told that it does not
// serve ([ErrGoingAway]), and any that is declared idempotent; others fail with
// [ErrConnectionLost].
func (c *Client) Call(ctx context.Context, req Request) (Response, error) {
	var lost *Error // of the last attempt that may have been served
	for attempt := 1; ; attempt++ {
		conn, release, err := c.use(ctx, &req)
		if err != nil {
			return Response{}, afterLost(lost, err)
		}
		resp, err := conn.Call(ctx, req)
		release()
		if err == nil {
			return resp, nil
		}
		if attempt == c.opts.DialAttempts || !mayRepeat(conn, &req, err) {
			return resp, afterLost(lost, err)
		}
		if e := (*Error)(nil); errors.As(err, &e) && e.Sent {
			lost = e
		}
	}
}

// afterLost is the error of a request whose last attempt has failed with err: if
// that was before anything was sent, an earlier one that was sent decides whether
// it may have been served.
func afterLost(lost *Error, err error) error {
	e := (*Error)(nil)
	if lost == nil || !errors.As(err, &e) {
		return err
	}
	switch e.Outcome {
	case OutcomeCanceled, OutcomeDeadline:
		e.Sent = true
	case OutcomeLost, OutcomeRefused:
		if !e.Sent {
			return lost
		}
	}
	return err
}

// Submit is [Conn.Submit] over the current connection, which is made if there
// is none. A connection that turns out to be gone before anything was queued is
// replaced; once submitted, the request is not sent again.
func (c *Client) Submit(ctx context.Context, req Request) (*Call, error) {
	for attempt := 1; ; attempt++ {
		conn, release, err := c.use(ctx, &req)
		if err != nil {
			return nil, err
		}
		call, err := conn.Submit(ctx, req)
		if err == nil {
			c.releaseAfter(call, release)
			return call, nil
		}
		release()
		if attempt == c.opts.DialAttempts || !mayRepeat(conn, &req, err) {
			return nil, err
		}
	}
}

// mayRepeat says whether a failed request may go out over another connection.
func mayRepeat(conn *Conn, req *Request, err error) bool {
	e := (*Error)(nil)
	if !errors.As(err, &e) {
		return false
	}
	switch e.Outcome {
	case OutcomeLost:
		return !e.Sent || req.Idempotent
	case OutcomeRefused: // by the connection's end, not for the request's sake
		return !conn.usable()
	}
	return false
}

// Open returns the current connection, which is made if there is none, and holds
// it open until release is called. Holds are counted; after the last release the
// connection closes when it has been unused for ClientOptions.KeepOpen, and the
// next use dials again, with tags from 2. Release may be called more than once.
func (c *Client) Open(ctx context.Context) (conn *Conn, release func(), err error) {
	return c.hold(ctx, nil)
}

// Shutdown refuses new calls, shuts the connection down in order
// ([Conn.Shutdown]) and closes its stream. When ctx ends first, it is closed at
// once. It may be called more than once.
func (c *Client) Shutdown(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	conns := slices.Collect(maps.Keys(c.conns))
	c.mu.Unlock()
	c.cancel()
	errs := make([]error, len(conns))
	var all sync.WaitGroup
	for i, conn := range conns {
		all.Go(func() { errs[i] = conn.Shutdown(ctx) })
	}
	all.Wait()
	c.keeper.Wait() // bounded: dialling is cancelled, the connections have ended
	return errors.Join(errs...)
}

// Close closes the connection at once, failing calls in flight.
func (c *Client) Close() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = c.Shutdown(ctx)
	return nil
}

// usable reports whether a new call would be taken.
func (c *Conn) usable() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := &c.life
	return !l.ending && !l.halfClosing && !l.requestsEnded && !l.receiveEnded && !l.dead && !c.ext.peerStopped
}
