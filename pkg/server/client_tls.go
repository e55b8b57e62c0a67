package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// ClientTLS is how a caller makes sure of a service, and the service of it.
type ClientTLS struct {
	CA         string // PEM file with the authorities that are trusted; empty for those of the system
	Cert, Key  string // PEM files with the caller's own certificate; empty for none
	ServerName string // name in the service's certificate; empty for the host of the address
}

// Config reads the files. Of what can be wrong with it the error names the file.
func (c ClientTLS) Config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS13, ServerName: c.ServerName}
	var err error
	if c.CA != "" {
		if config.RootCAs, err = readPool(c.CA); err != nil {
			return nil, err
		}
	}
	if c.Cert != "" || c.Key != "" {
		pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			return nil, fmt.Errorf("certificate %q with key %q: %w", c.Cert, c.Key, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// Dial connects to a tls:// listener, for [stream.NewClient]. The files are read
// once, now.
func (c ClientTLS) Dial(hostPort string) (stream.Dial, error) {
	config, err := c.Config()
	if err != nil {
		return nil, err
	}
	dialer := &tls.Dialer{Config: config}
	return func(ctx context.Context) (io.ReadWriter, func() error, error) {
		nc, err := dialer.DialContext(ctx, "tcp", hostPort)
		if err != nil {
			return nil, nil, handshakeAdvice(err)
		}
		return nc, nc.Close, nil
	}, nil
}

// handshakeAdvice adds what to do to errors that do not say it.
func handshakeAdvice(err error) error {
	if record := (tls.RecordHeaderError{}); errors.As(err, &record) {
		return fmt.Errorf("%w: the other side does not speak TLS, try tcp://", err)
	}
	return err
}
