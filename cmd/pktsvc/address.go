package main

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// address is a flag that says where a packet service is: tcp://HOST:PORT,
// unix://PATH, or HOST:PORT alone.
type address struct{ network, target string }

// addressForms is how help describes the flag.
const addressForms = "the service: tcp://HOST:PORT, unix://PATH or HOST:PORT"

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
	case "tcp":
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
		return fmt.Errorf("unknown scheme %q, want tcp or unix", scheme)
	}
	*a = address{scheme, target}
	return nil
}

func (a *address) dial() stream.Dial { return stream.DialNetwork(a.network, a.target) }
