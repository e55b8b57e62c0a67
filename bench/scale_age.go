package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

const (
	agedPeer     = "pktsvc-async"
	agedInFlight = 1024
	agedSize     = 16
)

// age makes requests on one connection. At each power of ten it waits for the answers
// and looks at what those since the last one have cost, and at the memory.
func (m *measuringTask) age() error {
	p, ok := m.peer.(pktsvcAsync)
	if !ok {
		return fmt.Errorf("%s cannot ask without callers", m.Peer)
	}
	conn, err := p.connect(m.server.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	for made, next := 0, min(100, m.X); made < m.X; made, next = next, min(10*next, m.X) {
		f, err := m.requests(conn, next-made)
		if err != nil {
			return err
		}
		mem, err := m.memory()
		if err != nil {
			return err
		}
		if err := m.report(Point{Part: partAge, X: next, figures: f, Memory: mem}); err != nil {
			return err
		}
	}
	return nil
}

// requests makes n, agedInFlight at a time.
func (m *measuringTask) requests(conn *stream.Conn, n int) (f figures, err error) {
	server0, err := m.server.usage()
	if err != nil {
		return f, err
	}
	client0, began := ownUsage(), time.Now()
	var left atomic.Int64
	left.Store(int64(n))
	ended := make(chan error, agedInFlight)
	for range agedInFlight {
		go askAnew(conn, &left, ended)
	}
	for range agedInFlight {
		if err := <-ended; err != nil {
			return f, err
		}
	}
	took, client1 := time.Since(began), ownUsage()
	server1, err := m.server.usage()
	if err != nil {
		return f, err
	}
	f.Ops = float64(n) / took.Seconds()
	f.ClientCPU, f.ServerCPU = (client1.CPU-client0.CPU)/float64(n), (server1.CPU-server0.CPU)/float64(n)
	return f, nil
}

// askAnew asks whenever an answer has come, while there are requests left to make.
func askAnew(conn *stream.Conn, left *atomic.Int64, ended chan<- error) {
	payload, buf := make([]byte, agedSize), make([]byte, agedSize)
	var done func(stream.Response, error)
	next := func() {
		if left.Add(-1) < 0 {
			ended <- nil
			return
		}
		conn.Go(context.Background(), stream.Request{Payload: payload, Buffer: buf}, done)
	}
	done = func(resp stream.Response, err error) {
		if err == nil && len(resp.Payload) != agedSize {
			err = errWrongEcho
		}
		if err != nil {
			ended <- err
			return
		}
		next()
	}
	next()
}
