package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"
	"go.uber.org/zap"
)

// certificates are those of the listeners. What handshakes use is replaced as a
// whole when the files change and fit together; else the old one stays. Open
// connections are not touched.
type certificates struct {
	files TLSConfig
	log   *zap.Logger

	current atomic.Pointer[loaded]
	seen    [3]fileVersion // of the last attempt; owned by whoever loads

	stop    chan struct{}
	looking sync.WaitGroup

	reloads *prometheus.CounterVec
}

// loaded is what was read from the files at one time.
type loaded struct {
	config   *tls.Config
	notAfter time.Time // when the first certificate of the chain, or an authority, expires
}

// fileVersion tells whether a file has changed.
type fileVersion struct {
	modified time.Time
	size     int64
}

func newCertificates(cfg frozen, log *zap.Logger, r *prometheus.Registry, life fx.Lifecycle) (*certificates, error) {
	c := &certificates{
		files: cfg.TLS, log: log.Named("tls"), stop: make(chan struct{}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pktsvc_tls_reloads_total",
			Help: "Changes of the TLS files that were noticed, by result: ok, or failed, when the certificates from before stay in use.",
		}, []string{"result"}),
	}
	if c.files.Cert == "" {
		return c, nil
	}
	c.reloads.WithLabelValues("ok")
	c.reloads.WithLabelValues("failed")
	c.seen = c.versions()
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	if err := r.Register(c.reloads); err != nil {
		return nil, err
	}
	if err := r.Register(gauge("pktsvc_tls_certificate_not_after_timestamp_seconds",
		"When the first of the TLS certificates in use expires, in seconds since 1970.",
		func() float64 { return float64(c.current.Load().notAfter.Unix()) })); err != nil {
		return nil, err
	}
	life.Append(fx.Hook{
		OnStart: func(context.Context) error { c.looking.Go(c.look); return nil },
		OnStop:  func(context.Context) error { close(c.stop); c.looking.Wait(); return nil },
	})
	return c, nil
}

// config is for one more handshake.
func (c *certificates) config() *tls.Config { return c.current.Load().config }

// look replaces the certificates when their files change.
func (c *certificates) look() {
	ticker := time.NewTicker(c.files.Reload)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-c.stop:
			return
		}
		versions := c.versions()
		if versions == c.seen {
			continue
		}
		c.seen = versions
		if err := c.load(); err != nil {
			c.reloads.WithLabelValues("failed").Inc()
			c.log.Error("the TLS files have changed but cannot be used, those from before stay in use", zap.Error(err))
			continue
		}
		c.reloads.WithLabelValues("ok").Inc()
		c.log.Info("the TLS files have changed and are in use", zap.Time("not_after", c.current.Load().notAfter))
	}
}

// versions looks at all files. One that is not there has none.
func (c *certificates) versions() (v [3]fileVersion) {
	for i, path := range []string{c.files.Cert, c.files.Key, c.files.ClientCA} {
		if info, err := os.Stat(path); err == nil {
			v[i] = fileVersion{info.ModTime(), info.Size()}
		}
	}
	return v
}

// load reads the files and puts them in place, all or none.
func (c *certificates) load() error {
	pair, err := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
	if err != nil {
		return fmt.Errorf("certificate %q with key %q: %w", c.files.Cert, c.files.Key, err)
	}
	next := &loaded{
		config:   &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}},
		notAfter: pair.Leaf.NotAfter,
	}
	for _, der := range pair.Certificate[1:] {
		if link, err := x509.ParseCertificate(der); err == nil && link.NotAfter.Before(next.notAfter) {
			next.notAfter = link.NotAfter
		}
	}
	if c.files.ClientCA != "" {
		if next.config.ClientCAs, err = readPool(c.files.ClientCA); err != nil {
			return err
		}
		next.config.ClientAuth = tls.RequireAndVerifyClientCert
		if c.files.Optional {
			next.config.ClientAuth = tls.VerifyClientCertIfGiven
		}
	}
	if time.Now().After(next.notAfter) {
		c.log.Error("the TLS certificate has expired: clients will refuse it", zap.Time("not_after", next.notAfter))
	}
	c.current.Store(next)
	return nil
}
