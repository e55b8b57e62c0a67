package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/fx"

	"github.com/pktsvc/pktsvc/pkg/server"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// authority issues certificates for a test, into files.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // PEM
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.file, _ = a.issue(t, "authority", func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	})
	return a
}

// issue writes a certificate and its key. The first one of an authority is its own.
func (a *authority) issue(t *testing.T, name string, change func(*x509.Certificate)) (cert, key string) {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	change(template)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, private
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &private.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert == nil {
		a.key = private
		if a.cert, err = x509.ParseCertificate(der); err != nil {
			t.Fatal(err)
		}
	}
	bytes, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(a.dir, name+".crt"), filepath.Join(a.dir, name+".key")
	writePEM(t, cert, "CERTIFICATE", der)
	writePEM(t, key, "PRIVATE KEY", bytes)
	return cert, key
}

func writePEM(t *testing.T, path, kind string, bytes []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o600); err != nil {
		t.Fatal(err)
	}
}

func forLoopback(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} }

func named(uri string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		u, err := url.Parse(uri)
		if err != nil {
			panic(err)
		}
		c.URIs = []*url.URL{u}
	}
}

const importer = "spiffe://example.org/importer"

// secure starts a server that asks for client certificates, and returns what a
// client with the identity importer needs.
func secure(t *testing.T, a *authority, change func(*server.Config), options ...fx.Option) (*running, server.ClientTLS) {
	t.Helper()
	cert, key := a.issue(t, "server", forLoopback)
	r := start(t, func(c *server.Config) {
		c.Listen = []string{"tls://127.0.0.1:0"}
		c.TLS = server.TLSConfig{Cert: cert, Key: key, ClientCA: a.file, Reload: 10 * time.Millisecond}
		if change != nil {
			change(c)
		}
	}, options...)
	own := server.ClientTLS{CA: a.file}
	own.Cert, own.Key = a.issue(t, "importer", named(importer))
	return r, own
}

// dialTLS connects as a caller does.
func (r *running) dialTLS(t *testing.T, own server.ClientTLS) (io.ReadWriter, error) {
	t.Helper()
	dial, err := own.Dial(strings.TrimPrefix(r.packets.Addresses()[0], "tls://"))
	if err != nil {
		t.Fatal(err)
	}
	s, closeStream, err := dial(t.Context())
	if err == nil {
		t.Cleanup(func() { _ = closeStream() })
	}
	return s, err
}

func (r *running) connectTLS(t *testing.T, own server.ClientTLS) *stream.Conn {
	t.Helper()
	s, err := r.dialTLS(t, own)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := stream.NewConn(s, stream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// Which name of a certificate is the identity. A common name, in which anything may
// stand, cannot be taken for one of the others.
func TestTLSNames(t *testing.T) {
	a := newAuthority(t)
	who := make(chan string, 1)
	mux := new(stream.Mux)
	mux.HandleFunc(40, "Who", func(_ context.Context, req stream.Request) (stream.Response, error) {
		who <- req.Conn.Peer().Identity
		return stream.Response{}, nil
	})
	r, own := secure(t, a, nil, fx.Provide(server.AsService(func() server.Service { return server.Service{Name: "who", Mux: mux} })))
	common := func(name string, change func(*x509.Certificate)) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.Subject.CommonName = name; change(c) }
	}
	none := func(*x509.Certificate) {}
	dns := func(c *x509.Certificate) { c.DNSNames = []string{"importer.example.org", "other.example.org"} }
	for want, change := range map[string]func(*x509.Certificate){
		importer:               common("CN", func(c *x509.Certificate) { dns(c); named(importer)(c) }),
		"importer.example.org": common(importer, dns),
		"CN=" + importer:       common(importer, none),
		"":                     common("", none),
	} {
		own.Cert, own.Key = a.issue(t, "client", change)
		if _, err := r.connectTLS(t, own).Call(t.Context(), stream.Request{Type: 40}); err != nil {
			t.Fatal(err)
		}
		if got := <-who; got != want {
			t.Errorf("%q is taken for %q", want, got)
		}
	}
}

// Who a client is stands in its certificate, and is known to handlers, to /connz
// and to the log.
func TestTLSIdentity(t *testing.T) {
	who := make(chan stream.Peer, 1)
	mux := new(stream.Mux)
	mux.HandleFunc(40, "Who", func(_ context.Context, req stream.Request) (stream.Response, error) {
		who <- req.Conn.Peer()
		return stream.Response{}, nil
	})
	r, own := secure(t, newAuthority(t), nil, fx.Provide(server.AsService(func() server.Service {
		return server.Service{Name: "who", Channel: 1, Mux: mux}
	})))
	s, err := r.dialTLS(t, own)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := stream.NewConn(s, stream.Options{Channels: map[uint64]stream.Handler{1: nil}})
	if err != nil {
		t.Fatal(err)
	}
	echo(t, conn, "over TLS")
	if _, err := conn.Call(t.Context(), stream.Request{Channel: 1, Type: 40}); err != nil {
		t.Fatal(err)
	}
	address := s.(net.Conn).LocalAddr().String()
	if got := <-who; got != (stream.Peer{Address: address, Identity: importer}) {
		t.Errorf("the handler sees %+v", got)
	}
	var got struct {
		Connections []struct{ Identity, Peer string }
	}
	r.getJSON(t, "/connz?identity=importer", &got)
	if len(got.Connections) != 1 || got.Connections[0].Identity != importer || got.Connections[0].Peer != address {
		t.Errorf("/connz: %+v", got)
	}
	if err := conn.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	eventually(t, "the log names it", func() bool {
		for _, line := range r.logs.FilterMessage("connection closed").All() {
			if line.ContextMap()["identity"] == importer {
				return true
			}
		}
		return false
	})
}

// What does not come up to the configuration is refused, for a reason that is
// counted and logged; who is connected does not notice.
func TestTLSRefuses(t *testing.T) {
	a, strangers := newAuthority(t), newAuthority(t)
	r, own := secure(t, a, func(c *server.Config) { c.Limits.HandshakeTimeout = 300 * time.Millisecond })
	bystander := r.connectTLS(t, own)
	config := func(change func(*tls.Config)) func(t *testing.T, nc net.Conn) error {
		return func(t *testing.T, nc net.Conn) error {
			c, err := own.Config()
			if err != nil {
				t.Fatal(err)
			}
			c.ServerName = "127.0.0.1"
			change(c)
			conn := tls.Client(nc, c)
			if err := conn.HandshakeContext(t.Context()); err != nil {
				return err
			}
			_, err = conn.Read(make([]byte, 1)) // the server's refusal comes behind the handshake
			return err
		}
	}
	says := func(text string) func(t *testing.T, nc net.Conn) error {
		return func(_ *testing.T, nc net.Conn) error {
			if _, err := nc.Write([]byte(text)); err != nil {
				return err
			}
			_, err := io.Copy(io.Discard, nc)
			return errors.Join(errors.New("ended"), err)
		}
	}
	shows := func(cert, key string) func(t *testing.T, nc net.Conn) error {
		return config(func(c *tls.Config) {
			pair, err := tls.LoadX509KeyPair(cert, key)
			if err != nil {
				panic(err)
			}
			c.Certificates = []tls.Certificate{pair}
		})
	}
	counts := make(map[string]int)
	for _, test := range []struct {
		name, reason string
		attempt      func(t *testing.T, nc net.Conn) error
	}{
		{"no certificate", "client_certificate", config(func(c *tls.Config) { c.Certificates = nil })},
		{"certificate of another authority", "client_certificate", shows(strangers.issue(t, "stranger", named(importer)))},
		{"expired certificate", "client_certificate", shows(a.issue(t, "expired", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }))},
		{"TLS 1.2", "other", config(func(c *tls.Config) { c.MinVersion, c.MaxVersion = 0, tls.VersionTLS12 })},
		{"server of another name", "refused_by_client", config(func(c *tls.Config) { c.ServerName = "elsewhere" })},
		{"server of an unknown authority", "refused_by_client", config(func(c *tls.Config) { c.RootCAs = x509.NewCertPool() })},
		{"plain packets", "not_tls", says("\x04\x02\x02\x01x")},
		{"HTTP", "not_tls", says("GET / HTTP/1.1\r\n\r\n")},
		{"garbage", "not_tls", says("\xff\xff\xff\xff\xff\xff")},
		{"half a record", "timeout", says("\x16\x03\x01\x02\x00\x01")},
		{"nothing", "timeout", says("")},
	} {
		t.Run(test.name, func(t *testing.T) {
			nc, err := net.Dial("tcp", strings.TrimPrefix(r.packets.Addresses()[0], "tls://"))
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
			if err := test.attempt(t, nc); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the attempt ended with %v", err)
			}
			nc.Close()
			counts[test.reason]++
			eventually(t, "the failure is counted as "+test.reason, func() bool {
				_, metrics := r.get(t, "/metrics")
				return strings.Contains(metrics, fmt.Sprintf("pktsvc_tls_handshakes_failed_total{reason=%q} %d\n", test.reason, counts[test.reason]))
			})
			echo(t, bystander, "unaffected")
		})
	}
	var got listing
	eventually(t, "only the bystander holds a place", func() bool {
		r.getJSON(t, "/connz?state=open", &got)
		return got.Open == 1
	})
}

// A plain caller at a port that speaks TLS is told so.
func TestPlainCallerOfTLS(t *testing.T) {
	r, _ := secure(t, newAuthority(t), nil)
	nc, err := net.Dial("tcp", strings.TrimPrefix(r.packets.Addresses()[0], "tls://"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	conn, err := stream.NewConn(nc, stream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Call(t.Context(), stream.Request{}); err == nil || !strings.Contains(err.Error(), "that port speaks TLS") {
		t.Errorf("the error is %v", err)
	}
}

// Files that change are used for new connections; open ones go on. Files that do
// not fit together are not.
func TestTLSReload(t *testing.T) {
	a := newAuthority(t)
	r, own := secure(t, a, nil)
	serial := func() string {
		s, err := r.dialTLS(t, own)
		if err != nil {
			t.Fatal(err)
		}
		return s.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	reloads := func(result string, n int) func() bool {
		return func() bool {
			_, metrics := r.get(t, "/metrics")
			return strings.Contains(metrics, fmt.Sprintf("pktsvc_tls_reloads_total{result=%q} %d\n", result, n))
		}
	}
	before, old := serial(), r.connectTLS(t, own)
	echo(t, old, "before")

	key := filepath.Join(a.dir, "server.key")
	if err := os.WriteFile(key, []byte("not a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the wrong key is noticed", reloads("failed", 1))
	if got := serial(); got != before {
		t.Errorf("after a failed change the certificate is %s, want %s", got, before)
	}

	expires := time.Now().Add(77 * time.Hour).Truncate(time.Second)
	a.issue(t, "server", func(c *x509.Certificate) { forLoopback(c); c.NotAfter = expires })
	eventually(t, "new connections get the new certificate", func() bool { return serial() != before })
	if _, metrics := r.get(t, "/metrics"); !strings.Contains(metrics, fmt.Sprintf("pktsvc_tls_certificate_not_after_timestamp_seconds %v\n", float64(expires.Unix()))) {
		t.Error("the time of expiry is not that of the new certificate")
	}
	echo(t, old, "still open")
	if strings.Contains(fmt.Sprint(r.logs.All()), "not a key") {
		t.Error("what is in a key file is logged")
	}
}

// A client without a certificate has no identity, where it is let in at all.
func TestTLSOptionalClient(t *testing.T) {
	a := newAuthority(t)
	r, own := secure(t, a, func(c *server.Config) { c.TLS.Optional = true })
	echo(t, r.connectTLS(t, server.ClientTLS{CA: a.file}), "anonymous")
	echo(t, r.connectTLS(t, own), "known")
	var got struct{ Connections []struct{ Identity string } }
	r.getJSON(t, "/connz?state=open&sort=name", &got)
	if len(got.Connections) != 2 || got.Connections[0].Identity != "" || got.Connections[1].Identity != importer {
		t.Errorf("%+v", got)
	}
}

// A handshake in progress does not hold up the end.
func TestTLSHandshakeDuringDrain(t *testing.T) {
	r, _ := secure(t, newAuthority(t), func(c *server.Config) { c.Limits.HandshakeTimeout = time.Hour })
	nc, err := net.Dial("tcp", strings.TrimPrefix(r.packets.Addresses()[0], "tls://"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	began := time.Now()
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

// An app decides by identity, channel and type.
func TestAuthorize(t *testing.T) {
	authorize := server.Authorize(func(peer stream.Peer, channel, typ uint64) error {
		if peer.Identity == importer && channel == 0 && typ == typeEcho {
			return nil
		}
		return fmt.Errorf("%q may not ask for type %d on channel %d", peer.Identity, typ, channel)
	})
	a := newAuthority(t)
	r, own := secure(t, a, nil, fx.Supply(authorize))
	other := own
	other.Cert, other.Key = a.issue(t, "other", func(c *x509.Certificate) { c.DNSNames = []string{"other.example.org"} })
	conn := r.connectTLS(t, own)
	echo(t, conn, "allowed")
	for name, try := range map[string]struct {
		conn *stream.Conn
		typ  uint64
		want string
	}{
		"another type": {conn, typeOpen, `forbidden: "spiffe://example.org/importer" may not ask for type 2 on channel 0`},
		"another peer": {r.connectTLS(t, other), typeEcho, `forbidden: "other.example.org" may not ask for type 0 on channel 0`},
	} {
		_, err := try.conn.Call(t.Context(), stream.Request{Type: try.typ})
		if e := (*stream.Error)(nil); !errors.As(err, &e) || e.Outcome != stream.OutcomeRejected || string(e.Payload) != try.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, metrics := r.get(t, "/metrics"); !strings.Contains(metrics, `pktsvc_requests_rejected_total{reason="forbidden",type="Echo"} 1`) {
		t.Error("it is not counted")
	}
	echo(t, conn, "goes on")
}
