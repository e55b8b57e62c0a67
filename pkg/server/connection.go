package server

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// connection is one open connection. It is also an observer of itself, to be
// listed before its first request, and to learn when its end of sending has left.
type connection struct {
	conns    *connections
	id       uint64
	name     string
	listener string
	peer     string
	identity string // set before the connection is listed
	ip       netip.Addr
	local    net.Addr     // nil where there is none
	remote   net.Addr     // the same
	conn     *stream.Conn // set before the connection is listed
	link     link         // likewise

	attended atomic.Bool // somebody brings its end about
	sentOnce sync.Once
	sent     chan struct{} // closed when EOF has been sent, or never can be
	ended    chan struct{} // closed when the connection is gone
}

// Events asks for the opening and for the end of sending.
func (c *connection) Events() stream.EventSet {
	return stream.Events(stream.EventConnOpened, stream.EventSendEnded)
}

// Begin is not called: no begin event is asked for.
func (c *connection) Begin(ctx context.Context, _ *stream.Event) context.Context { return ctx }

// Observe lists the connection, which has read nothing yet, and notes its end of
// sending.
func (c *connection) Observe(_ context.Context, ev *stream.Event) {
	switch ev.Kind {
	case stream.EventConnOpened:
		c.conn = ev.Conn
		c.conns.add(c)
	case stream.EventSendEnded:
		c.endSent()
	}
}

func (c *connection) endSent() { c.sentOnce.Do(func() { close(c.sent) }) }

func (c *connection) info() connectionInfo {
	return connectionInfo{
		id: c.id, name: c.name, listener: c.listener, peer: c.peer, identity: c.identity,
		opened: c.conn.Opened(), features: c.conn.Features(), stats: c.conn.Stats(),
	}
}

// serve makes a connection of an accepted stream and serves it in a goroutine
// of its own. It does not block. A stream over a limit is closed.
func (p *PacketServer) serve(l *listener, in link) {
	id, why := p.conns.admit(in.ip)
	if why != notRefused {
		p.refuse(l, in, why, nil)
		return
	}
	c := &connection{
		conns: p.conns, id: id, name: connectionName(l.addr.network, id), listener: l.addr.String(), peer: in.peer, ip: in.ip,
		local: in.local, remote: in.remote,
		sent: make(chan struct{}), ended: make(chan struct{}),
	}
	if in.secure == nil {
		p.open(l, c, in)
		return
	}
	p.shaking.Go(func() {
		if err := p.handshake(&in); err != nil {
			p.conns.withdraw(c)
			p.refuseHandshake(l, in, err)
			return
		}
		p.open(l, c, in)
	})
}

// open makes the connection of an admitted stream.
func (p *PacketServer) open(l *listener, c *connection, in link) {
	c.identity, c.link = in.identity, in
	options := p.options
	options.Name = c.name
	options.Peer = stream.Peer{Address: in.peer, Identity: in.identity}
	options.Observer = stream.Observers(c, p.observer) // in this order: the others find c listed
	conn, err := stream.NewConn(in.stream, options)
	if err != nil {
		p.conns.withdraw(c)
		p.refuse(l, in, refusedFailed, err)
		return
	}
	conn.AfterReceived(func() {
		// The peer has ended. What it has asked before is still answered, in time.
		ctx, cancel := context.WithTimeout(p.forced, p.closeTimeout)
		defer cancel()
		p.end(ctx, c)
	})
}

// end brings about the connection's end, and puts it away, unless somebody else does.
func (p *PacketServer) end(ctx context.Context, c *connection) {
	if !c.attended.CompareAndSwap(false, true) {
		return
	}
	_ = c.conn.Shutdown(ctx) // the cause is kept by the connection
	c.endSent()
	_ = c.link.close() // the connection's own end tells what there is to tell
	p.conns.remove(c)
	close(c.ended)
	if p.onlyStdio {
		p.stdioEnded()
	}
}

func (p *PacketServer) refuse(l *listener, in link, why refusal, err error) {
	_ = in.close()
	p.counters.refused.WithLabelValues(string(why)).Inc()
	p.sampled.Warn("connection refused", zap.String("reason", string(why)), zap.String("peer", in.peer),
		zap.Stringer("listener", l.addr), zap.Error(err))
}
