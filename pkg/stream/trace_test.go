package stream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// recorder is an observer that keeps all events, and follows each request by a
// value that it puts into its context.
type recorder struct {
	wants EventSet

	mu       sync.Mutex
	events   []Event
	requests []*followed
}

// followed is one request, on the side that asks or on the side that serves.
type followed struct {
	begin  EventKind
	events []EventKind
}

type followedKey struct{}

func (r *recorder) Events() EventSet { return r.wants }

func (r *recorder) Begin(ctx context.Context, e *Event) context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := &followed{begin: e.Kind}
	r.requests = append(r.requests, f)
	r.note(f, *e)
	return context.WithValue(ctx, followedKey{}, f)
}

func (r *recorder) Observe(ctx context.Context, e *Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, _ := ctx.Value(followedKey{}).(*followed)
	r.note(f, *e)
}

func (r *recorder) note(f *followed, e Event) {
	e.Packet.Payload = nil
	r.events = append(r.events, e)
	if f != nil {
		f.events = append(f.events, e.Kind)
	}
}

func (r *recorder) count(kind EventKind) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// of returns the kinds of the events that chosen picks, in order.
func (r *recorder) of(chosen EventSet) (kinds []EventKind) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if chosen.Has(e.Kind) {
			kinds = append(kinds, e.Kind)
		}
	}
	return kinds
}

// Every kind of event comes, in the order that a request takes.
func TestEveryKindOfEvent(t *testing.T) {
	rec := &recorder{wants: AllEvents}
	bubble(t, "calls and requests, ended by the peer", func(t *testing.T) {
		h, release := held()
		c, p := scripted(t, Options{Handler: h, Observer: rec, MaxHandlers: 1, MaxQueued: 1})
		call, err := c.Submit(t.Context(), Request{Type: 3})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		p.send(ok(2, "answer"))
		synctest.Wait()
		if want := []EventKind{EventCallBegin, EventCallSubmitted, EventPacketQueued, EventCallDone}; !slices.Equal(rec.requests[0].events, want) {
			t.Errorf("a call: %v, want %v", rec.requests[0].events, want)
		}
		if call.Outcome() != OutcomeOK {
			t.Error(call.Outcome())
		}

		p.send(ask(2, 1, ""), ask(3, 1, ""), ask(2, 1, "tag in use"), ask(4, 1, "one too many"))
		synctest.Wait() // reading pauses now
		release <- struct{}{}
		synctest.Wait()
		want := []EventKind{EventRequestBegin, EventRequestStarted, EventRequestHandled, EventRequestDone, EventPacketQueued}
		if !slices.Equal(rec.requests[1].events, want) {
			t.Errorf("a request: %v, want %v", rec.requests[1].events, want)
		}
		release <- struct{}{}
		release <- struct{}{}
		given, err := c.Submit(t.Context(), Request{Type: 3})
		if err != nil {
			t.Fatal(err)
		}
		given.Cancel()
		p.send(ok(3, "late"), ok(99, "unknown"))
		c.EndSending()
		synctest.Wait()
		p.send(ask(9, 1, "nobody can answer this any more"), packetEndRequests, packetEOF)
		<-c.Done()

		whole := Events(EventConnOpened, EventPeerEndRequests, EventPeerEOF, EventReceiveEnded, EventSendEnded, EventConnClosed)
		want = []EventKind{EventConnOpened, EventSendEnded, EventPeerEndRequests, EventPeerEOF, EventReceiveEnded, EventConnClosed}
		if got := rec.of(whole); !slices.Equal(got, want) {
			t.Errorf("the connection: %v, want %v", got, want)
		}
	})
	bubble(t, "the stream ends", func(t *testing.T) {
		c, p := scripted(t, Options{Observer: rec})
		p.to.Close()
		<-c.Received()
		_ = c.Shutdown(deadline(t))
	})
	bubble(t, "a write is slow", func(t *testing.T) {
		near, far := net.Pipe()
		c := mustConn(t, slowWriter{near, slowWrite}, Options{Observer: rec})
		p := mustConn(t, far, Options{})
		_, _ = c.Call(t.Context(), Request{}) // it is not served
		c.Close()
		p.Close()
		near.Close()
		far.Close()
	})
	t.Run("a socket is full", func(t *testing.T) {
		near, far := sockets(t, "unix")
		defer far.Close()
		shrink(t, near, 2048)
		c := mustConn(t, near, Options{Observer: rec})
		_, err := c.Submit(deadline(t), Request{Payload: make([]byte, 4<<20)})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "the write stalls", func() bool { return rec.count(EventStalled) > 0 })
		c.Close()
	})
	for kind := range NumEvents {
		if rec.count(kind) == 0 {
			t.Errorf("never seen: %v", kind)
		}
	}
	for _, e := range rec.events {
		if e.Conn == nil || e.Time.IsZero() || e.Name() == "" || e.Kind.String() == "" {
			t.Errorf("incomplete: %+v", e)
		}
	}
}

// The details that some kinds of event carry.
func TestDetailsOfEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := &recorder{wants: AllEvents}
		c, p := scripted(t, Options{Name: "ref", Observer: rec, Handler: HandlerFunc(func(ctx context.Context, req Request) (Response, error) {
			time.Sleep(3 * time.Second)
			if f, _ := ctx.Value(followedKey{}).(*followed); f == nil || f.begin != EventRequestBegin {
				t.Error("the context of Begin has not reached the handler")
			}
			return Response{Payload: req.Payload}, errors.New("refused")
		})})
		type ownKey struct{}
		call, err := c.Submit(context.WithValue(t.Context(), ownKey{}, 1), Request{Type: 3, Flags: 0b101, Payload: []byte("abc")})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		p.send(ok(2, "four"), ask(7, 1, "request"))
		time.Sleep(time.Minute)
		p.to.Close()
		<-c.Received()
		_ = c.Shutdown(t.Context())
		seconds := map[EventKind]time.Duration{
			EventCallDone: 2, EventRequestStarted: 0, EventRequestHandled: 3, EventRequestDone: 3, EventConnClosed: 62,
		}
		sizes := map[EventKind]int{EventCallDone: 4, EventRequestDone: len(textFailed), EventPacketReceived: 7}
		for _, e := range rec.events {
			if want, is := seconds[e.Kind]; is && e.Duration != want*time.Second {
				t.Errorf("%v: duration %v, want %d s", e.Kind, e.Duration, want)
			}
			if want, is := sizes[e.Kind]; is && e.Size < want {
				t.Errorf("%v: size %d, want %d", e.Kind, e.Size, want)
			}
			switch e.Kind {
			case EventCallDone:
				if e.Name() != "ref:2:rq_type=3,0b101,3bs" || e.Name() != call.Name() || e.Outcome != OutcomeOK || e.Err != nil {
					t.Errorf("%s: %v, %v", e.Name(), e.Outcome, e.Err)
				}
			case EventRequestDone:
				if e.Name() != "ref:7:rq_type=1,7bs" || e.Outcome != OutcomeRejected || e.Rejection != RejectHandler || e.Err == nil {
					t.Errorf("%s: %v, %v, %v", e.Name(), e.Outcome, e.Rejection, e.Err)
				}
			case EventConnClosed:
				if e.Reason != ReasonStreamEnd || e.Err != nil {
					t.Errorf("closed: %v, %v", e.Reason, e.Err)
				}
			}
		}
	})
}

// Under chaos each request has one end and each call one outcome, on both sides.
func TestOneEndOfEachRequest(t *testing.T) {
	kinds := AllEvents
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 11))
		ra, rb := &recorder{wants: kinds}, &recorder{wants: kinds}
		o := Options{Handler: chaosMux(), MaxHandlers: 2, MaxQueued: 3, SendBuffer: 1000, MaxInFlight: 6, DrainTimeout: time.Millisecond}
		oa, ob := o, o
		oa.Observer, ob.Observer = ra, rb
		a, b := connected(t, []string{"pipe", "tcp", "unix"}[seed%3], oa, ob)
		var work sync.WaitGroup
		for _, c := range []*Conn{a, b} {
			for g := range 8 {
				patience := time.Duration(1+r.IntN(2000)) * time.Microsecond
				work.Go(func() {
					for i := range 25 {
						ctx, cancel := context.WithTimeout(context.Background(), patience)
						req := Request{Type: uint64(g+i) % 9, Channel: uint64(i%11) / 10, Payload: make([]byte, i*17)}
						switch i % 3 {
						case 0:
							_, _ = c.Call(ctx, req)
						case 1:
							c.Go(ctx, req, func(Response, error) {})
						default:
							if call, err := c.Submit(ctx, req); err == nil {
								if i%2 == 0 {
									call.Cancel()
								}
								<-call.Done()
							}
						}
						cancel()
					}
				})
			}
		}
		time.AfterFunc(time.Duration(r.IntN(8000))*time.Microsecond, func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(r.IntN(20))*time.Millisecond)
			defer cancel()
			_ = []*Conn{a, b}[seed/3%2].Shutdown(ctx)
		})
		work.Wait()
		for i, c := range []*Conn{a, b} {
			c.Close() // every call has its outcome now
			rec := []*recorder{ra, rb}[i]
			eventually(t, "handlers have ended", func() bool {
				return rec.count(EventRequestDone) == rec.count(EventRequestBegin)
			})
			rec.oneEndEach(t, fmt.Sprintf("seed %d, side %d, %v", seed, i, c.Reason()))
		}
	}
}

// chaosMux serves some types well and others badly.
func chaosMux() *Mux {
	m := new(Mux)
	for typ := range uint64(8) {
		register := m.Handle
		if typ == 0 {
			register = m.Inline
		}
		register(typ, fmt.Sprint(typ), HandlerFunc(func(ctx context.Context, req Request) (Response, error) {
			switch typ {
			case 1:
				return Response{}, errors.New("failed")
			case 2:
				panic("failed")
			case 3:
				<-ctx.Done()
			case 4:
				return req.Conn.Call(ctx, Request{Type: 0})
			case 5:
				return Response{Flags: 1 << 63}, nil
			}
			return echo(ctx, req)
		}))
	}
	return m
}

// oneEndEach checks the books of one side of a connection that has ended.
func (r *recorder) oneEndEach(t *testing.T, what string) {
	t.Helper()
	n := make([]int, NumEvents)
	r.mu.Lock()
	defer r.mu.Unlock()
	received := 0
	for _, e := range r.events {
		n[e.Kind]++
		if e.Kind == EventPacketReceived && e.Packet.Kind == KindRequest {
			received++
		}
	}
	if ends := n[EventRequestDone] + n[EventRequestRejected] + n[EventRequestDropped]; received != ends || n[EventRequestBegin] != n[EventRequestDone] {
		t.Errorf("%s: %d requests received, %d begun: %d done, %d rejected, %d dropped", what, received,
			n[EventRequestBegin], n[EventRequestDone], n[EventRequestRejected], n[EventRequestDropped])
	}
	if n[EventCallBegin] != n[EventCallDone] {
		t.Errorf("%s: %d calls begun, %d done", what, n[EventCallBegin], n[EventCallDone])
	}
	for _, kind := range []EventKind{EventConnOpened, EventConnClosed, EventReceiveEnded, EventSendEnded} {
		if n[kind] != 1 {
			t.Errorf("%s: %d times %v", what, n[kind], kind)
		}
	}
	for _, f := range r.requests {
		last := map[EventKind]EventKind{EventCallBegin: EventCallDone, EventRequestBegin: EventRequestDone}[f.begin]
		ends := 0
		for _, kind := range f.events {
			if kind == last {
				ends++
			}
		}
		if ends != 1 || f.events[0] != f.begin {
			t.Errorf("%s: %v", what, f.events)
		}
	}
}

func TestObserversTogether(t *testing.T) {
	if Observers() != nil || Observers(nil, nil) != nil {
		t.Error("no observers: want nil")
	}
	first := &recorder{wants: Events(EventCallBegin, EventCallDone)}
	second := &recorder{wants: Events(EventCallBegin, EventCallSubmitted)}
	third := &recorder{wants: Events(EventCallDone, EventPacketReceived)}
	if Observers(nil, first, nil) != Observer(first) {
		t.Error("one observer: want it")
	}
	all := Observers(first, nil, Observers(second, third))
	if got, want := all.Events(), first.wants|second.wants|third.wants; got != want {
		t.Errorf("wants %b, want %b", got, want)
	}
	a, b := connected(t, "pipe", Options{Observer: all}, Options{Handler: echo})
	if _, err := a.Call(deadline(t), Request{}); err != nil {
		t.Fatal(err)
	}
	go b.Shutdown(deadline(t))
	_ = a.Shutdown(deadline(t))
	for i, rec := range []*recorder{first, second, third} {
		for _, e := range rec.events {
			if !rec.wants.Has(e.Kind) {
				t.Errorf("observer %d got %v", i, e.Kind)
			}
		}
		for kind := range NumEvents {
			if rec.wants.Has(kind) && rec.count(kind) == 0 {
				t.Errorf("observer %d never got %v", i, kind)
			}
		}
	}
	if len(first.requests) != 1 || len(second.requests) != 1 || len(third.requests) != 0 {
		t.Error("Begin was called by another rule than Events")
	}
}

// A request that was read before anybody wanted to see requests, in the same read as one
// that changes this, has a time of day where it is shown.
func TestTimeOfBeginThatWasNotLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec, mux := new(recorder), new(Mux)
		mux.Inline(0, "watch", HandlerFunc(func(_ context.Context, req Request) (Response, error) {
			rec.wants = Events(EventRequestBegin)
			req.Conn.AskObserver()
			return Response{}, nil
		}))
		_, p := scripted(t, Options{Handler: mux, Observer: rec})
		p.send(ask(2, 0, ""), ask(3, 0, ""))
		synctest.Wait()
		rec.mu.Lock()
		defer rec.mu.Unlock()
		if len(rec.events) != 1 || rec.events[0].Packet.Tag != 3 || !rec.events[0].Time.Equal(time.Now()) {
			t.Errorf("%+v", rec.events)
		}
	})
}
