package main

import (
	"fmt"
	"net"
)

// Call sends a request and returns the echoed bytes, which stay valid until the
// same caller's next Call.
type Call func(req []byte) ([]byte, error)

// Peer is one RPC library. Serve listens on a free port of 127.0.0.1, reports the
// address and never returns. Dial opens one connection that the callers will
// share, and returns a function that makes one caller's Call.
type Peer interface {
	Serve(ready func(addr string)) error
	Dial(addr string, callers int) (func() Call, error)
}

// Piper is a Peer without blocked callers: Pipe keeps window requests of size
// bytes in flight on one connection until rec.Stopped.
type Piper interface {
	Pipe(addr string, window, size int, rec *Recorder) error
}

var peers = map[string]Peer{}

func register(name string, p Peer) { peers[name] = p }

func lookup(name string) (Peer, error) {
	if p := peers[name]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("no peer %q", name)
}

// serveConns gives each connection that is accepted on a free port to h.
func serveConns(ready func(string), h func(net.Conn)) error {
	return acceptConns(ready, func(c net.Conn) {
		go func() {
			defer c.Close()
			h(c)
		}()
	})
}

// acceptConns calls h, which does not block, with each connection.
func acceptConns(ready func(string), h func(net.Conn)) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ready(ln.Addr().String())
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		h(c)
	}
}
