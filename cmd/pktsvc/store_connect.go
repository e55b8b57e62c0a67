package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pktsvc/pktsvc/pkg/server"
	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// addresses is a flag that may be given several times.
type addresses []address

func (a *addresses) String() string {
	var texts []string
	for i := range *a {
		texts = append(texts, (*a)[i].String())
	}
	return strings.Join(texts, ", ")
}

func (*addresses) Type() string { return "address" }

// Set adds one.
func (a *addresses) Set(s string) error {
	var one address
	if err := one.Set(s); err != nil {
		return err
	}
	*a = append(*a, one)
	return nil
}

// storeTarget is where a store is, and how it is asked.
type storeTarget struct {
	addrs   addresses
	tls     server.ClientTLS
	class   store.Class
	timeout time.Duration
}

func (t *storeTarget) flags(cmd *cobra.Command) *pflag.FlagSet {
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.Var(&t.addrs, "addr", addressForms+"; given several times, another one is tried when one is gone")
	fs.StringVar(&t.tls.CA, "tls-ca", "", "PEM file with the authorities to trust (default those of the system)")
	fs.StringVar(&t.tls.Cert, "tls-cert", "", "PEM file with the certificate to show the service")
	fs.StringVar(&t.tls.Key, "tls-key", "", "PEM file with its private key")
	fs.StringVar(&t.tls.ServerName, "tls-server-name", "", "name in the service's certificate (default the host of --addr)")
	t.class = store.DefaultClass
	fs.TextVar(&t.class, "hash", store.DefaultClass, "hash of the store: "+strings.Join(store.ClassNames(), ", "))
	fs.DurationVar(&t.timeout, "timeout", 2*time.Minute, "how long to wait for a connection, and for any one answer")
	_ = cmd.MarkFlagRequired("addr") // the flag exists
	_ = cmd.RegisterFlagCompletionFunc("hash", cobra.FixedCompletions(store.ClassNames(), cobra.ShellCompDirectiveNoFileComp))
	return fs
}

// at is the same way of asking, of a store at another address.
func (t *storeTarget) at(addr address) *storeTarget {
	other := *t
	other.addrs = addresses{addr}
	return &other
}

// dialAttempts is how often all addresses are tried, with pauses that become longer:
// some 20 s in all, so that a service can be started again meanwhile.
const dialAttempts = 10

// dialTimeout bounds an attempt with one address.
const dialTimeout = 10 * time.Second

// rotation dials the addresses in turn, each time beginning behind the one that was
// dialled last: a service may be gone and its address still take connections.
type rotation struct {
	names []string
	dials []stream.Dial
	at    int           // used by one goroutine at a time
	made  atomic.Uint64 // connections
}

// first dials once, and returns a dial that begins with what that gave: who cannot be
// reached at all is not tried again and again.
func (r *rotation) first(ctx context.Context) (stream.Dial, error) {
	s, closeStream, err := r.dial(ctx)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (io.ReadWriter, func() error, error) {
		if s == nil {
			return r.dial(ctx)
		}
		given := s
		s = nil
		return given, closeStream, nil
	}, nil
}

func (r *rotation) dial(ctx context.Context) (s io.ReadWriter, closeStream func() error, err error) {
	var errs []error
	for range r.dials {
		attempt, cancel := context.WithTimeout(ctx, dialTimeout)
		at := r.at
		r.at = (at + 1) % len(r.dials)
		s, closeStream, err = r.dials[at](attempt)
		cancel()
		if err == nil {
			r.made.Add(1)
			return s, closeStream, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", r.names[at], err))
	}
	return nil, nil, errors.Join(errs...)
}

// storeConn is a connection to a store, which is made anew when it is lost.
type storeConn struct {
	*store.Client
	rotation *rotation
	client   *stream.Client
	release  func()
}

// open connects. An error has its exit code.
func (t *storeTarget) open(ctx context.Context) (*storeConn, error) {
	if t.timeout <= 0 {
		return nil, exitError{exitUsage, fmt.Errorf("--timeout is %v, want more than 0", t.timeout)}
	}
	r := new(rotation)
	anyTLS := false
	for _, a := range t.addrs {
		one := target{addr: a}
		if a.network == "tls" {
			one.tls, anyTLS = t.tls, true
		}
		dial, err := one.dial()
		if err != nil {
			return nil, exitError{exitUsage, err}
		}
		r.names = append(r.names, a.String())
		r.dials = append(r.dials, dial)
	}
	if !anyTLS && t.tls != (server.ClientTLS{}) {
		return nil, exitError{exitUsage, fmt.Errorf("--tls-… flags are for tls:// addresses, not for %v", &t.addrs)}
	}
	first, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	var client *stream.Client
	var release func()
	dial, err := r.first(first)
	if err == nil {
		client, err = stream.NewClient(dial, stream.ClientOptions{
			Conn: stream.Options{Extension: stream.ExtensionAsk}, DialAttempts: dialAttempts,
		})
	}
	if err == nil {
		if _, release, err = client.Open(first); err != nil {
			_ = client.Close()
		}
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, exitError{exitFailed, errInterrupted}
		}
		code := exitNoAnswer
		if errors.Is(err, context.DeadlineExceeded) {
			code = exitTimeout
		}
		return nil, exitError{code, fmt.Errorf("no connection to %v: %w", &t.addrs, err)}
	}
	return &storeConn{store.NewClient(patient{client, t.timeout}, t.class), r, client, release}, nil
}

// epoch is for tree.Options: each connection is an epoch.
func (c *storeConn) epoch() uint64 { return c.rotation.made.Load() }

// close ends the connection in order.
func (c *storeConn) close() {
	c.release()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = c.client.Shutdown(ctx) // the answers are there, or their absence is known
}

// patient bounds how long any one answer is waited for.
type patient struct {
	*stream.Client
	timeout time.Duration
}

func (p patient) Call(ctx context.Context, req stream.Request) (stream.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	return p.Client.Call(ctx, req)
}
