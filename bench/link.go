package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
)

// link is one connection, which can be closed.
type link struct {
	newCall func() Call
	close   func() error
}

type dialFunc func(context.Context) (net.Conn, error)

// Linker is a Peer whose connections can be opened by the thousand. What a process
// has once, however many they are, is made by Linker; the function that it returns
// opens one.
type Linker interface {
	Peer
	Linker() (func(dialFunc) (link, error), error)
}

// linking opens connections to one server.
type linking struct {
	addr   string
	open   func(dialFunc) (link, error)
	dialed atomic.Int64
}

func newLinking(p Peer, addr string) (*linking, error) {
	linker, ok := p.(Linker)
	if !ok {
		return nil, errors.New("this peer cannot open connections by the thousand")
	}
	open, err := linker.Linker()
	return &linking{addr: addr, open: open}, err
}

const (
	dialling       = 64    // at a time
	portsOfAddress = 16000 // a client's address has 28,000 for one server, not all of which are free
)

// dial is from 127.0.0.1 first, then from 127.0.0.2, and so on.
func (l *linking) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	if n := l.dialed.Add(1) / portsOfAddress; n > 0 {
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+n%250))}
		d.Control = portAtConnect
	}
	return d.DialContext(ctx, "tcp", l.addr)
}

// one opens a connection and makes a call, so that it is really open at both ends.
func (l *linking) one() (link, error) {
	c, err := l.open(l.dial)
	if err != nil {
		return c, err
	}
	if err := c.ping(); err != nil {
		return c, errors.Join(err, c.close())
	}
	return c, nil
}

var pingRequest = []byte("0123456789abcdef")

func (c link) ping() error {
	resp, err := c.newCall()(pingRequest)
	if err == nil && !bytes.Equal(resp, pingRequest) {
		err = errWrongEcho
	}
	return err
}

// many opens n. If one fails the others are closed.
func (l *linking) many(n int) ([]link, error) {
	links := make([]link, n)
	err := sideBySide(n, func(i int) (err error) {
		links[i], err = l.one()
		return err
	})
	if err != nil {
		return nil, errors.Join(err, closeAll(links))
	}
	return links, nil
}

func closeAll(links []link) error {
	return sideBySide(len(links), func(i int) error {
		if links[i].close == nil {
			return nil
		}
		return links[i].close()
	})
}

// sideBySide calls f for 0 to n-1, up to dialling at a time, until one fails.
func sideBySide(n int, f func(int) error) error {
	var (
		next    atomic.Int64
		workers sync.WaitGroup
		once    sync.Once
		failed  error
	)
	for range min(n, dialling) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := f(i); err != nil {
					next.Store(int64(n))
					once.Do(func() { failed = fmt.Errorf("%d of %d: %w", i+1, n, err) })
				}
			}
		})
	}
	workers.Wait()
	return failed
}
