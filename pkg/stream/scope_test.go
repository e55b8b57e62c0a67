package stream

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
)

// Each scope says of its request what is true of it, however requests follow each other,
// and for as long as anybody has it.
func TestScopes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	conns := []*Conn{{}, {}}
	channels := []*channel{{conn: conns[0]}, {conn: conns[0], number: 7}, {conn: conns[1]}}
	type wanted struct {
		s    *scope
		ch   *channel
		p    Packet
		turn uint64 // 0: none
	}
	var kept []wanted
	var ss scopes
	ch, p, turn := channels[0], Packet{Tag: 2}, uint64(1)
	quick := false
	steady := 0 // requests to come that follow the last one
	runs := make(map[*run]int)
	for range 20_000 {
		p.Tag++
		if quick {
			turn += 2
		}
		if steady--; steady < 0 {
			steady = r.IntN(1 << r.IntN(11))
			switch r.IntN(7) {
			case 0:
				ch = channels[r.IntN(len(channels))]
			case 1:
				p.Tag = r.Uint64()
			case 2:
				p.Type = r.Uint64N(1 << r.IntN(64))
			case 3:
				p.Flags = r.Uint64N(1 << r.IntN(64))
			case 4:
				quick = !quick
			case 5:
				turn += 2 * r.Uint64N(1000)
			case 6:
				turn = 2*r.Uint64() | 1
			}
		}
		s := ss.next(ch, &p, turn, quick)
		runs[s.of()]++
		if r.IntN(10) == 0 {
			w := wanted{s: s, ch: ch, p: p}
			if quick {
				w.turn = turn
			}
			kept = append(kept, w)
		}
	}
	if len(runs) > 2000 || len(runs) < 100 {
		t.Errorf("%d runs", len(runs))
	}
	clear(runs)
	runtime.GC()
	for i, w := range kept {
		got := w.s.request()
		if got.Conn != w.ch.conn || got.Channel != w.ch.number || got.Tag != w.p.Tag || got.Type != w.p.Type || got.Flags != w.p.Flags || w.s.readerTurn() != w.turn {
			t.Fatalf("%d: %+v in turn %d, want %v on channel %d in turn %d", i, got, w.s.readerTurn(), w.p, w.ch.number, w.turn)
		}
	}
}

// Whoever keeps the context of a handler finds that handler's request in it for ever,
// whatever is used again meanwhile.
func TestContextOutlivesItsHandler(t *testing.T) {
	const requests = 200
	var mu sync.Mutex
	kept := make(map[uint64]context.Context)
	m := new(Mux)
	m.Inline(0, "Keep", HandlerFunc(func(ctx context.Context, req Request) (Response, error) {
		mu.Lock()
		defer mu.Unlock()
		kept[req.Tag] = ctx
		return Response{}, nil
	}))
	a, b := connected(t, "tcp", Options{}, Options{Handler: m})
	var calls []*Call
	for i := range uint64(requests) {
		call, err := a.Submit(t.Context(), Request{Flags: i, Payload: []byte("some")})
		if err != nil {
			t.Fatal(err)
		}
		calls = append(calls, call)
	}
	for i, call := range calls {
		if _, err := call.Wait(deadline(t)); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		ctx := kept[call.Tag()]
		mu.Unlock()
		got, ok := RequestFromContext(ctx)
		if !ok || got.Conn != b || got.Tag != call.Tag() || got.Flags != uint64(i) || got.Payload != nil {
			t.Fatalf("%d: %+v, %t", i, got, ok)
		}
		if ctx.Err() != nil {
			t.Fatalf("%d: it ended with its handler: %v", i, ctx.Err())
		}
	}
	b.Close()
	for _, ctx := range kept {
		<-ctx.Done()
	}
}
