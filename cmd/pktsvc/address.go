package main

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/spf13/pflag"

	"github.com/pktsvc/pktsvc/pkg/server"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// address is a flag that says where a packet service is: tcp://HOST:PORT,
// tls://HOST:PORT, unix://PATH, or HOST:PORT alone.
type address struct{ network, target string }

// addressForms is how help describes the flag.
const addressForms = "the service: tcp://HOST:PORT, tls://HOST:PORT, unix://PATH or HOST:PORT"

func (a *address) String() string {
	if a.network == "" {
		return ""
	}
	return a.network + "://" + a.target
}

func (*address) Type() string { return "address" }

// Set reads the flag. A path is all that follows unix://, and is not decoded.
func (a *address) Set(s string) error {
	scheme, target, ok := strings.Cut(s, "://")
	if !ok {
		scheme, target = "tcp", s
	}
	switch scheme {
	case "unix":
		if target == "" {
			return errors.New("there is no path in it")
		}
	case "tcp", "tls":
		_, port, err := net.SplitHostPort(target)
		if addr := (*net.AddrError)(nil); errors.As(err, &addr) {
			return fmt.Errorf("%s, want HOST:PORT", addr.Err)
		}
		if err != nil {
			return err
		}
		if _, err := net.LookupPort("tcp", port); err != nil || port == "" || port == "0" {
			return fmt.Errorf("%q is no port", port)
		}
	default:
		return fmt.Errorf("unknown scheme %q, want tcp, tls or unix", scheme)
	}
	*a = address{scheme, target}
	return nil
}

// target is an address with what its TLS needs.
type target struct {
	addr address
	tls  server.ClientTLS
}

func (t *target) flags(fs *pflag.FlagSet) {
	fs.Var(&t.addr, "addr", addressForms)
	fs.StringVar(&t.tls.CA, "tls-ca", "", "PEM file with the authorities to trust (default those of the system)")
	fs.StringVar(&t.tls.Cert, "tls-cert", "", "PEM file with the certificate to show the service")
	fs.StringVar(&t.tls.Key, "tls-key", "", "PEM file with its private key")
	fs.StringVar(&t.tls.ServerName, "tls-server-name", "", "name in the service's certificate (default the host of --addr)")
}

// dial returns the way to the service. An error is wrong usage.
func (t *target) dial() (stream.Dial, error) {
	if t.addr.network == "tls" {
		return t.tls.Dial(t.addr.target)
	}
	if t.tls != (server.ClientTLS{}) {
		return nil, fmt.Errorf("--tls-… flags are for tls:// addresses, not for %v", &t.addr)
	}
	return stream.DialNetwork(t.addr.network, t.addr.target), nil
}
