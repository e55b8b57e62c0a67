package e2e

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// wire is a network between a caller and a service which holds back a single response, the
// one to the request with a payload of its own, and lets all others pass.
type wire struct {
	payload string
	to      string // HOST:PORT

	mu  sync.Mutex
	tag uint64 // of the request, once it has passed
}

// laid starts it, and returns where it is reached.
func (w *wire) laid(t *testing.T) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() { ln.Close(); all.Wait() })
	all.Go(func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() { w.carry(near) })
		}
	})
	return ln.Addr().String()
}

// carry carries the packets of one connection, until either end has gone.
func (w *wire) carry(near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", w.to)
	if err != nil {
		return // which the caller sees
	}
	var back sync.WaitGroup
	defer back.Wait()
	defer far.Close()
	back.Go(func() {
		defer near.Close()
		pass(far, near, w.holds)
	})
	pass(near, far, w.sees)
}

// sees notes the request whose response is to be held.
func (w *wire) sees(p *stream.Packet) bool {
	if p.Kind == stream.KindRequest && p.Channel == 0 && string(p.Payload) == w.payload {
		w.mu.Lock()
		w.tag = p.Tag
		w.mu.Unlock()
	}
	return false
}

func (w *wire) holds(p *stream.Packet) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return p.Kind == stream.KindResponse && p.Channel == 0 && p.Tag == w.tag && w.tag != 0
}

// pass passes packets on, until one of the streams has ended. What is held passes later.
func pass(from io.Reader, to io.Writer, held func(*stream.Packet) bool) {
	var mu sync.Mutex // packets are written whole
	write := func(b []byte) error {
		mu.Lock()
		defer mu.Unlock()
		_, err := to.Write(b)
		return err
	}
	var late sync.WaitGroup
	defer late.Wait()
	for d := stream.NewDecoder(from); ; {
		p, _, err := d.Decode()
		if err != nil {
			return
		}
		b, err := p.AppendBinary(nil)
		if err != nil {
			return
		}
		if held(&p) {
			late.Go(func() { time.Sleep(faultTime); _ = write(b) })
			continue
		}
		if write(b) != nil {
			return
		}
	}
}
