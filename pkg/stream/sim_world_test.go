package stream

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pktsvc/pktsvc/internal/simnet"
)

// simWorld is the run of one plan.
type simWorld struct {
	t      *testing.T
	plan   *simPlan
	counts *simCounts
	budget *Budget
	over   chan struct{} // closed when the links begin to end

	handlers sync.WaitGroup
	lastID   atomic.Uint64

	mu       sync.Mutex
	requests map[uint64]*simRequest
	conns    []*Conn
	books    [NumEvents]int
}

// simLink is one link of the plan, or several after each other when it reconnects.
type simLink struct {
	world    *simWorld
	plan     *simLinkPlan
	client   *Client // side 0, if it reconnects
	callers  sync.WaitGroup
	servers  sync.WaitGroup
	broken   atomic.Bool // by a fault: connections may be lost
	corrupt  atomic.Bool // bytes have been changed
	vanished atomic.Bool // a side may never learn that the other has ended

	mu      sync.Mutex
	dialled uint64
	ends    [2]*simnet.Conn // the current ones
	conns   [2]*Conn
	served  []*Conn // all that side 1 ever had
}

// The types of request, by what their handlers do.
const (
	simInline = iota
	simEcho
	simSlow
	simAsks
	simDeclines
	simPanics
	simWaits
	simStubborn
	simLarge
	simTypes
)

var simTypeNames = [simTypes]string{"inline", "echo", "slow", "asks", "declines", "panics", "waits", "stubborn", "large"}

// run runs the plan.
func (p *simPlan) run(t *testing.T, counts *simCounts) {
	w := &simWorld{t: t, plan: p, counts: counts, over: make(chan struct{}), requests: make(map[uint64]*simRequest)}
	if p.budget > 0 {
		w.budget = NewBudget(p.budget)
	}
	links := make([]*simLink, len(p.links))
	for i := range p.links {
		links[i] = &simLink{world: w, plan: &p.links[i]}
		links[i].start(uint64(i))
	}
	time.Sleep(p.length)
	close(w.over)
	var ending sync.WaitGroup
	for _, l := range links {
		ending.Go(l.finish)
	}
	ending.Wait()
	synctest.Wait() // a handler may be about to begin
	w.handlers.Wait()
	synctest.Wait() // for what follows a handler
	w.check()
}

func (w *simWorld) errorf(format string, args ...any) {
	w.t.Helper()
	w.t.Errorf("seed %d: "+format, append([]any{w.plan.seed}, args...)...)
}

// start connects a link and begins to ask and to disturb it.
func (l *simLink) start(number uint64) {
	if l.plan.reconnects {
		o := ClientOptions{Conn: l.options(0), MinBackoff: time.Millisecond}
		var err error
		if l.client, err = NewClient(l.dial, o); err != nil {
			l.world.t.Fatal(err)
		}
	} else {
		a, _, _ := l.dial(context.Background())
		l.conns[0] = l.newConn(a.(*simnet.Conn), 0)
	}
	for side := range 2 {
		for i := range l.plan.callers[side] {
			r := rand.New(rand.NewPCG(l.world.plan.seed, 1+number<<20+uint64(i)<<1+uint64(side)))
			l.callers.Go(func() { l.asks(side, r) })
		}
	}
	for _, f := range l.plan.faults {
		l.callers.Go(func() {
			if l.world.sleep(f.at) {
				l.disturb(f)
			}
		})
	}
}

// sleep reports whether the time has passed before the links begin to end.
func (w *simWorld) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.over:
		return false
	}
}

func (l *simLink) options(side int) Options {
	o := l.plan.options[side]
	o.Budget = l.world.budget
	o.Handler = l.world.mux(l)
	o.Observer = l.world
	return o
}

// dial makes a pair of ends, and a connection at side 1.
func (l *simLink) dial(context.Context) (io.ReadWriter, func() error, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ended(l.world.over) {
		return nil, nil, errors.New("the world is ending")
	}
	l.dialled++
	a, b := simnet.Pair(l.world.plan.seed<<8+l.dialled, l.plan.profiles[0], l.plan.profiles[1])
	l.ends = [2]*simnet.Conn{a, b}
	l.conns[1] = l.newConn(b, 1)
	l.served = append(l.served, l.conns[1])
	return a, a.Close, nil
}

// newConn starts an engine and closes its stream when it has ended, as whoever
// serves would: its peer's end ends it, too.
func (l *simLink) newConn(end *simnet.Conn, side int) *Conn {
	conn, err := NewConn(end, l.options(side))
	if err != nil {
		l.world.t.Fatal(err)
	}
	l.servers.Go(func() {
		<-conn.Received()
		ctx, cancel := context.WithTimeout(context.Background(), simLimit)
		defer cancel()
		_ = conn.Shutdown(ctx)
		_ = end.Close()
	})
	return conn
}

// disturb brings a fault about on the current link.
func (l *simLink) disturb(f simFault) {
	l.mu.Lock()
	end, conn := l.ends[f.side], l.conns[f.side]
	l.mu.Unlock()
	if end == nil {
		return // nobody has connected yet
	}
	if f.name != "hold" {
		l.broken.Store(true)
	}
	switch f.name {
	case "hold", "hold for long":
		end.Hold(f.long)
	case "vanish":
		end.Vanish()
		l.vanished.Store(true)
	case "reset":
		end.Reset()
	case "half-close":
		end.CloseWrite()
	case "corrupt":
		l.corrupt.Store(true)
		end.Corrupt(f.byte, f.mask)
	case "break reading":
		end.FailReads(errBroken)
	case "break writing":
		end.FailWrites(errBroken)
	case "close":
		if conn != nil {
			conn.Close()
		} else {
			end.Close()
		}
	}
	l.world.counts.add("fault " + f.name)
}

// simLimit is what the ends are given.
const simLimit = time.Minute

// finish ends a link, as its plan says, and checks that it takes no longer than allowed.
func (l *simLink) finish() {
	begun := time.Now()
	l.mu.Lock()
	ends, conns := l.ends, l.conns
	l.mu.Unlock()
	l.world.counts.add("end " + l.plan.end)
	shutdown := func(side int, limit time.Duration) func() {
		return func() {
			ctx, cancel := context.WithTimeout(context.Background(), limit)
			defer cancel()
			if side == 0 && l.client != nil {
				_ = l.client.Shutdown(ctx)
			} else if conns[side] != nil {
				_ = conns[side].Shutdown(ctx)
				_ = ends[side].Close()
			}
			if took := time.Since(begun); took > simLimit {
				l.world.errorf("a shutdown within %v took %v", limit, took)
			}
		}
	}
	var ending sync.WaitGroup
	switch l.plan.end {
	case "both shut down":
		ending.Go(shutdown(1, simLimit))
	case "in no time":
		ending.Go(shutdown(1, time.Millisecond))
	case "closed":
		ending.Go(shutdown(1, 0))
	case "reset":
		if ends[1] != nil {
			ends[1].Reset()
		}
	}
	ending.Go(shutdown(0, simLimit))
	ending.Wait()
	if l.vanished.Load() {
		for _, c := range l.served {
			c.Close()
		}
	}
	l.callers.Wait()
	l.servers.Wait()
	// One side is gone; the other has its stream's end, its own time limits, and the
	// time that its server gives it.
	if took := time.Since(begun); took > 2*simLimit {
		l.world.errorf("the end (%s) took %v", l.plan.end, took)
	}
}

// mux serves the types of request.
func (w *simWorld) mux(l *simLink) *Mux {
	m := new(Mux)
	for typ, name := range simTypeNames {
		register := m.Handle
		if typ == simInline {
			register = m.Inline
		}
		register(uint64(typ), name, HandlerFunc(func(ctx context.Context, req Request) (Response, error) {
			w.handlers.Add(1)
			defer w.handlers.Done()
			id := w.runs(l, &req)
			return l.handle(ctx, id, req)
		}))
	}
	return m
}

func (l *simLink) handle(ctx context.Context, id uint64, req Request) (Response, error) {
	switch req.Type {
	case simSlow:
		select {
		case <-time.After(time.Duration(id%1000) * time.Millisecond):
		case <-ctx.Done():
			return Response{}, ctx.Err()
		}
	case simAsks:
		resp, err := l.call(ctx, req.Conn, simEcho, req.Payload[min(len(req.Payload), 8):])
		return Response{Flags: resp.Flags, Payload: req.Payload}, err
	case simDeclines:
		return Response{}, &Rejection{Flags: id % 100, Payload: req.Payload}
	case simPanics:
		panic("as the plan wants it")
	case simWaits:
		<-ctx.Done()
		return Response{}, ctx.Err()
	case simStubborn:
		time.Sleep(time.Duration(id%100) * time.Second)
	case simLarge:
		return Response{Flags: id % 100, Payload: simResponse(id, l.plan.large)}, nil
	}
	return Response{Flags: id % 100, Payload: req.Payload}, nil
}

func simResponse(id uint64, large int) []byte {
	b := make([]byte, int(id*7919)%large+1)
	for i := range b {
		b[i] = byte(id) + byte(i)
	}
	return b
}

func simID(payload []byte) uint64 {
	if len(payload) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(payload)
}
