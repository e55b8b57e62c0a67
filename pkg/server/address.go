package server

import (
	"errors"
	"fmt"
	"net"
	"strings"
)

// address is a parsed listen URL.
type address struct {
	network string // "tcp", "tls", "unix", "stdio" or "systemd"
	target  string // HOST:PORT, a path, nothing, or the name of a socket unit
}

func (a address) String() string {
	if a.network == "stdio" || a.network == "systemd" {
		return a.network + ":" + a.target
	}
	return a.network + "://" + a.target
}

// anyPort says that every listen on the address gets a port of its own.
func (a address) anyPort() bool {
	return (a.network == "tcp" || a.network == "tls") && strings.HasSuffix(a.target, ":0")
}

// The longest path of a Unix socket that every system takes, in bytes.
const maxSocketPath = 103

// parseAddress reads tcp://HOST:PORT, tls://HOST:PORT, unix://PATH, stdio:, systemd: or systemd:NAME.
// A path is all that follows unix://, so it may be relative, and is not decoded.
func parseAddress(url string) (address, error) {
	scheme, rest, ok := strings.Cut(url, ":")
	if !ok {
		return address{}, errors.New("there is no scheme in it")
	}
	if scheme == "stdio" {
		if rest != "" {
			return address{}, errors.New("nothing may follow the colon of stdio")
		}
		return address{network: "stdio"}, nil
	}
	if scheme == "systemd" {
		if strings.Contains(rest, "/") {
			return address{}, errors.New("only the name of a socket may follow the colon of systemd")
		}
		return address{network: "systemd", target: rest}, nil
	}
	target, ok := strings.CutPrefix(rest, "//")
	if !ok {
		return address{}, fmt.Errorf("%s wants // after its colon", scheme)
	}
	switch scheme {
	case "tcp", "tls":
		if err := checkHostPort(target); err != nil {
			return address{}, err
		}
	case "unix":
		if target == "" {
			return address{}, errors.New("there is no path in it")
		}
		if len(target) > maxSocketPath {
			return address{}, fmt.Errorf("the path has %d bytes, sockets allow %d", len(target), maxSocketPath)
		}
	default:
		return address{}, fmt.Errorf("unknown scheme %q", scheme)
	}
	return address{network: scheme, target: target}, nil
}

// ListenError says which address could not be listened on, and why.
type ListenError struct {
	URL string // as configured
	Err error  // such as a *net.OpError
}

// Error returns one line.
func (e *ListenError) Error() string { return fmt.Sprintf("listen on %s: %v", e.URL, cause(e.Err)) }

// Unwrap returns the cause.
func (e *ListenError) Unwrap() error { return e.Err }

// cause strips the address, which ListenError has already named.
func cause(err error) error {
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		return op.Err
	}
	return err
}
