package server

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"go.uber.org/zap"
)

// listener is one open listen URL.
type listener struct {
	addr   address // the real one: its port is not 0
	accept func() (link, error)
	close  func() error
}

// link is an accepted byte stream, not yet a connection.
type link struct {
	stream io.ReadWriter
	close  func() error
	secure func(context.Context) error // the TLS handshake, which replaces both; nil if there is none

	identity string     // verified; empty for a peer that is not known
	peer     string     // as shown in logs and listings
	local    net.Addr   // nil where there is none
	remote   net.Addr   // the same
	ip       netip.Addr // of the peer; not valid where peers have none
}

// openListeners opens one listen URL, which only for systemd may be several
// listeners. The error is a [*ListenError].
func openListeners(url string, certs *certificates) ([]*listener, error) {
	a, err := parseAddress(url)
	if err != nil {
		return nil, &ListenError{URL: url, Err: err}
	}
	var list []*listener
	switch a.network {
	case "stdio":
		list = []*listener{listenStdio()}
	case "systemd":
		list, err = listenPassed(a.target)
	case "unix":
		list, err = only(listenUnix(a.target))
	case "tls":
		list, err = only(listenTLS(a.target, certs))
	default:
		list, err = only(listenTCP(a.target))
	}
	if err != nil {
		return nil, &ListenError{URL: url, Err: err}
	}
	return list, nil
}

func only(l *listener, err error) ([]*listener, error) { return []*listener{l}, err }

func listenTCP(hostPort string) (*listener, error) {
	ln, err := net.Listen("tcp", hostPort)
	if err != nil {
		return nil, err
	}
	return listenNet(ln), nil
}

func listenNet(ln net.Listener) *listener {
	return &listener{
		addr:  address{network: ln.Addr().Network(), target: ln.Addr().String()},
		close: ln.Close,
		accept: func() (link, error) {
			nc, err := ln.Accept()
			if err != nil {
				return link{}, err
			}
			in := link{stream: nc, close: nc.Close, peer: nc.RemoteAddr().String(), local: nc.LocalAddr(), remote: nc.RemoteAddr()}
			in.identity = socketIdentity(nc)
			if tcp, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
				in.ip = tcp.AddrPort().Addr().Unmap()
			}
			return in, nil
		},
	}
}

// How long accepting waits after an error, doubled with each further one.
const (
	minAcceptBackoff = 5 * time.Millisecond
	maxAcceptBackoff = time.Second
)

// acceptLoop hands every accepted stream to serve, which must not block, until
// the listener is closed. Errors, such as too many open files, do not end it.
func (p *PacketServer) acceptLoop(l *listener) {
	backoff := minAcceptBackoff
	for {
		in, err := l.accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			backoff = minAcceptBackoff
			p.serve(l, in)
			continue
		}
		p.counters.acceptErrors.Inc()
		p.sampled.Error("accept failed, will try again", zap.Stringer("listener", l.addr), zap.Duration("in", backoff), zap.Error(err))
		select {
		case <-time.After(backoff):
		case <-p.stopAccepting:
			return
		}
		backoff = min(2*backoff, maxAcceptBackoff)
	}
}
