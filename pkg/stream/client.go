package stream

import (
	"context"
	"errors"
	"fmt"
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

	// KeepOpen is how long a connection stays open that nobody uses. Default 1
	// min; negative: it is closed as soon as nobody uses it.
	KeepOpen time.Duration

	// Dialling is tried up to DialAttempts times (4) before those who wait for a
	// connection get the error, with pauses that double from MinBackoff (50 ms)
	// to MaxBackoff (10 s) and are shortened at random by up to half. A
	// connection that ends without having answered anything counts as a failure.
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
	dialling *dialling     // nil unless somebody dials
	conns    map[*Conn]int // that have not ended yet, with how often each is held open
	made     int           // connections, for their names
	failures int           // in a row
	closed   bool
}

// dialling is one effort to connect, shared by all who wait for it.
type dialling struct {
	done chan struct{}
	err  error
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
	c := &Client{dial: dial, opts: o, conns: make(map[*Conn]int)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// Call is [Conn.Call] over the current connection, which is made if there is
// none. A request of which nothing had been sent when the connection was lost is
// sent again over a new one, and so is any that is declared idempotent; others
// fail with [ErrConnectionLost].
func (c *Client) Call(ctx context.Context, req Request) (Response, error) {
	for attempt := 1; ; attempt++ {
		conn, err := c.connect(ctx, &req)
		if err != nil {
			return Response{}, err
		}
		resp, err := conn.Call(ctx, req)
		if c.opts.KeepOpen < 0 {
			c.closeUnused(conn)
		}
		if err == nil || attempt == c.opts.DialAttempts || !mayRepeat(conn, &req, err) {
			return resp, err
		}
	}
}

// Submit is [Conn.Submit] over the current connection, which is made if there
// is none. A connection that turns out to be gone before anything was queued is
// replaced; once submitted, the request is not sent again.
func (c *Client) Submit(ctx context.Context, req Request) (*Call, error) {
	for attempt := 1; ; attempt++ {
		conn, err := c.connect(ctx, &req)
		if err != nil {
			return nil, err
		}
		call, err := conn.Submit(ctx, req)
		if c.opts.KeepOpen < 0 {
			c.closeUnused(conn)
		}
		if err == nil || attempt == c.opts.DialAttempts || !mayRepeat(conn, &req, err) {
			return call, err
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
	for {
		conn, err := c.connect(ctx, nil)
		if err != nil {
			return nil, nil, err
		}
		c.mu.Lock()
		if c.current.Load() != conn {
			c.mu.Unlock()
			continue
		}
		c.conns[conn]++
		c.mu.Unlock()
		return conn, sync.OnceFunc(func() {
			c.mu.Lock()
			if _, open := c.conns[conn]; open {
				c.conns[conn]--
			}
			c.mu.Unlock()
			if c.opts.KeepOpen < 0 {
				c.closeUnused(conn)
			}
		}), nil
	}
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

// connect returns the current connection, and makes one if there is none.
func (c *Client) connect(ctx context.Context, req *Request) (*Conn, error) {
	if conn := c.current.Load(); conn != nil && conn.usable() {
		return conn, nil
	}
	for {
		c.mu.Lock()
		if c.closed {
			c.mu.Unlock()
			return nil, notConnected(req, OutcomeRefused, ErrClosed)
		}
		if conn := c.current.Load(); conn != nil && conn.usable() {
			c.mu.Unlock()
			return conn, nil
		}
		d := c.dialling
		if d == nil {
			d = &dialling{done: make(chan struct{})}
			c.dialling = d
			c.keeper.Go(func() { c.connectAgain(d) })
		}
		c.mu.Unlock()
		select {
		case <-d.done:
			if d.err != nil {
				return nil, notConnected(req, OutcomeLost, d.err)
			}
		case <-ctx.Done():
			return nil, notConnected(req, ctxOutcome(ctx.Err()), fmt.Errorf("no connection yet: %w", ctx.Err()))
		}
	}
}

// notConnected is the error of a call for which there was no connection.
func notConnected(req *Request, outcome Outcome, cause error) error {
	if req == nil {
		return cause
	}
	e := &Error{Outcome: outcome, Conn: "none", Channel: req.Channel, Type: req.Type, Label: req.Label, Err: cause}
	if e.Label == "" {
		e.Label = defaultLabel(req.Type, req.Flags, len(req.Payload))
	}
	return e
}

// connectAgain dials until there is a connection, or it has failed often enough.
func (c *Client) connectAgain(d *dialling) {
	err := errors.New("not tried")
	for attempt := 0; err != nil && attempt < c.opts.DialAttempts; attempt++ {
		if !c.backOff() {
			err = ErrClosed
			break
		}
		err = c.connectOnce()
	}
	if err != nil {
		err = fmt.Errorf("dial: %w", err)
	}
	c.mu.Lock()
	c.dialling = nil
	c.mu.Unlock()
	d.err = err
	close(d.done)
}

// backOff pauses after failures. It reports false when the client is closed.
func (c *Client) backOff() bool {
	c.mu.Lock()
	failures := c.failures
	c.mu.Unlock()
	if failures == 0 {
		return c.ctx.Err() == nil
	}
	pause := c.opts.MaxBackoff
	if failures < 32 {
		pause = min(pause, c.opts.MinBackoff<<(failures-1))
	}
	if pause <= 0 { // the shift overflowed
		pause = c.opts.MaxBackoff
	}
	pause -= time.Duration(c.opts.Random() * float64(pause) / 2)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.ctx.Done():
		return false
	}
}

func (c *Client) connectOnce() error {
	s, closeStream, err := c.dial(c.ctx)
	if err == nil {
		o := c.opts.Conn
		c.mu.Lock()
		if c.made++; o.Name != "" && c.made > 1 {
			o.Name = fmt.Sprintf("%s-%d", o.Name, c.made)
		}
		c.mu.Unlock()
		var conn *Conn
		if conn, err = NewConn(s, o); err == nil {
			c.mu.Lock()
			closed := c.closed
			if !closed {
				c.current.Store(conn)
				c.conns[conn] = 0
			}
			c.mu.Unlock()
			c.keeper.Go(func() { c.keep(conn, closeStream) })
			if closed {
				_ = conn.Close()
				return ErrClosed
			}
			return nil
		}
	}
	if closeStream != nil {
		_ = closeStream()
	}
	c.mu.Lock()
	c.failures++
	c.mu.Unlock()
	return err
}

// keep looks after one connection until it has ended: it closes it when unused,
// and its stream at the end.
func (c *Client) keep(conn *Conn, closeStream func() error) {
	interval := c.opts.KeepOpen
	if interval < 0 {
		interval = time.Hour // closeUnused is called at each use
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var sent uint64
	for open := true; open; {
		select {
		case <-conn.Received():
			open = false
		case <-ticker.C:
			s := conn.Stats()
			if s.CallsSent == sent && c.opts.KeepOpen > 0 {
				c.closeUnused(conn)
			}
			sent = s.CallsSent
		}
	}
	c.mu.Lock()
	c.current.CompareAndSwap(conn, nil)
	switch s := conn.Stats(); {
	case s.CallsAnswered > 0:
		c.failures = 0
	case s.CallsSent > 0:
		c.failures++
	}
	c.mu.Unlock()
	// The peer has ended: nothing more can be answered, and what runs for it here
	// has as long as its orderly end is allowed to take.
	ctx, cancel := context.WithTimeout(context.Background(), c.opts.Conn.DrainTimeout+DefaultDrainTimeout)
	defer cancel()
	_ = conn.Shutdown(ctx)
	c.mu.Lock()
	delete(c.conns, conn)
	c.mu.Unlock()
	if closeStream != nil {
		_ = closeStream()
	}
}

// closeUnused closes the connection in order unless it is used or held.
func (c *Client) closeUnused(conn *Conn) {
	c.mu.Lock()
	s := conn.Stats()
	unused := c.conns[conn] == 0 && s.InFlight == 0 && s.Serving == 0 && s.Queued == 0
	if unused {
		c.current.CompareAndSwap(conn, nil)
	}
	c.mu.Unlock()
	if unused {
		conn.shutdown(nil, ReasonNone)
	}
}

// usable reports whether a new call would be taken.
func (c *Conn) usable() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := &c.life
	return !l.ending && !l.halfClosing && !l.requestsEnded && !l.receiveEnded && !l.dead
}
