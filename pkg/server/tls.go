package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Authorize decides whether a peer may send requests of a type on a channel, see
// Options.Authorize of pkg/stream. [Module] uses one that the app provides.
type Authorize func(peer stream.Peer, channel, typ uint64) error

// listenTLS accepts streams that begin with a handshake, which is not made here:
// accepting waits for nobody.
func listenTLS(hostPort string, certs *certificates) (*listener, error) {
	l, err := listenTCP(hostPort)
	if err != nil {
		return nil, err
	}
	l.addr.network = "tls"
	plain := l.accept
	l.accept = func() (link, error) {
		in, err := plain()
		if err != nil {
			return in, err
		}
		conn := tls.Server(&firstByte{Conn: in.stream.(net.Conn)}, certs.config())
		in.secure = func(ctx context.Context) error { return conn.HandshakeContext(ctx) }
		in.stream, in.close = conn, conn.Close
		return in, nil
	}
	return l, nil
}

// firstByte sees at once whether TLS comes at all: a handshake would wait for more
// bytes than a small packet has.
type firstByte struct {
	net.Conn
	seen bool // owned by who reads
}

var errNotTLS = errors.New("what comes is not TLS")

func (c *firstByte) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.seen {
		c.seen = true
		if b[0] != recordHandshake {
			return 0, errNotTLS
		}
	}
	return n, err
}

const recordHandshake = 0x16

// handshake makes a stream secure, within the time for it, unless accepting is
// over.
func (p *PacketServer) handshake(in *link) error {
	ctx, cancel := context.WithTimeout(p.forced, p.handshakeTimeout)
	defer cancel()
	go func() {
		select {
		case <-p.stopAccepting:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := in.secure(ctx); err != nil {
		return err
	}
	if state := in.stream.(*tls.Conn).ConnectionState(); len(state.VerifiedChains) > 0 {
		in.identity = identityOf(state.PeerCertificates[0])
	}
	return nil
}

// identityOf is the name in a verified certificate: its first URI, as SPIFFE has
// them, else its first DNS name, else CN= and its common name, in which
// authorities sign anything, also what looks like one of the others.
func identityOf(cert *x509.Certificate) string {
	switch {
	case len(cert.URIs) > 0:
		return cert.URIs[0].String()
	case len(cert.DNSNames) > 0:
		return cert.DNSNames[0]
	}
	if cert.Subject.CommonName == "" {
		return ""
	}
	return "CN=" + cert.Subject.CommonName
}

// Why handshakes fail; the values of a label.
const (
	handshakeTimeout = "timeout"
	handshakeNotTLS  = "not_tls"
	handshakeClient  = "client_certificate"
	handshakeRemote  = "refused_by_client"
	handshakeOther   = "other"
)

var handshakeFailures = []string{handshakeTimeout, handshakeNotTLS, handshakeClient, handshakeRemote, handshakeOther}

func (p *PacketServer) refuseHandshake(l *listener, in link, err error) {
	if errors.Is(err, errNotTLS) {
		raw := in.stream.(*tls.Conn).NetConn()
		_ = raw.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = raw.Write(tlsAlert) // so that a plain peer learns what this port speaks
	}
	_ = in.close()
	reason := handshakeFailure(err)
	p.counters.handshakes.WithLabelValues(reason).Inc()
	p.sampled.Info("TLS handshake failed", zap.String("reason", reason), zap.String("peer", in.peer),
		zap.Stringer("listener", l.addr), zap.Error(err))
}

// tlsAlert is a fatal alert, unexpected message, as TLS 1.2 and later frame it.
var tlsAlert = []byte{0x15, 3, 3, 0, 2, 2, 10}

func handshakeFailure(err error) string {
	var verification *tls.CertificateVerificationError
	var remote *net.OpError
	switch {
	case errors.Is(err, errNotTLS):
		return handshakeNotTLS
	case errors.As(err, &verification), err.Error() == "tls: client didn't provide a certificate":
		return handshakeClient
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return handshakeTimeout
	case errors.As(err, &remote) && remote.Op == "remote error":
		return handshakeRemote
	}
	return handshakeOther
}

func readPool(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: there is no certificate in it, want PEM", path)
	}
	return pool, nil
}
