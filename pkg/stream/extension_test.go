package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// asking returns two peers of which the first has asked for the extension, and got it.
func asking(t *testing.T, a, b Options) (left, right *Conn, end func()) {
	t.Helper()
	a.Extension = ExtensionAsk
	left, right, end = pair(t, a, b)
	synctest.Wait()
	return left, right, end
}

func TestExtensionIsAgreedOn(t *testing.T) {
	for _, tt := range []struct {
		name string
		a, b Options
		want Features
	}{
		{"asked and answered", Options{Extension: ExtensionAsk}, Options{}, AllFeatures},
		{"both ask", Options{Extension: ExtensionAsk}, Options{Extension: ExtensionAsk}, AllFeatures},
		{"nobody asks", Options{}, Options{}, 0},
		{"the peer is plain", Options{Extension: ExtensionAsk}, Options{Extension: ExtensionOff}, 0},
		{"off", Options{Extension: ExtensionOff}, Options{Extension: ExtensionAsk}, 0},
		{
			"without some", Options{Extension: ExtensionAsk, Without: FeaturePing}, Options{Without: FeatureCancel | FeatureTimes},
			FeatureMetadata | FeatureCredit | FeatureGoingAway,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rec := &recorder{wants: AllEvents}
				tt.a.Observer, tt.b.Observer, tt.b.Handler = rec, rec, echo
				left, right, end := pair(t, tt.a, tt.b)
				defer end()
				synctest.Wait()
				if l, r := left.Features(), right.Features(); l != tt.want || r != tt.want {
					t.Errorf("%v and %v, want %v", l, r, tt.want)
				}
				if agreed := tt.want != 0; agreed && (left.Info().PeerID() != right.ID() || right.Info().PeerID() != left.ID()) ||
					!agreed && left.Info().PeerID()+right.Info().PeerID() != 0 {
					t.Error("they do not know each other's identity")
				}
				// Whatever came of it, nobody is told of requests that nobody made.
				for _, kind := range []EventKind{EventCallBegin, EventCallDone, EventCallUnknown, EventRequestBegin} {
					if n := rec.count(kind); n > 0 {
						t.Errorf("%d events %v", n, kind)
					}
				}
				if s := left.Stats(); s.CallsSent+s.CallsAnswered > 0 {
					t.Errorf("%+v", s)
				}
				if resp, err := left.Call(t.Context(), Request{Payload: []byte("x")}); err != nil || string(resp.Payload) != "x" {
					t.Errorf("%q, %v", resp.Payload, err)
				}
			})
		})
	}
}

func TestParseFeatures(t *testing.T) {
	for _, tt := range []struct {
		names []string
		want  Features
	}{{nil, 0}, {[]string{"ping", "times"}, FeaturePing | FeatureTimes}, {AllFeatures.Names(), AllFeatures}, {[]string{"all"}, AllFeatures}} {
		if got, err := ParseFeatures(tt.names...); err != nil || got != tt.want {
			t.Errorf("%q: %v, %v", tt.names, got, err)
		}
	}
	if _, err := ParseFeatures("ping", "pong"); err == nil || !strings.Contains(err.Error(), `"pong"`) || !strings.Contains(err.Error(), "metadata") {
		t.Error(err)
	}
}

// Who goes without all of it does not ask for it.
func TestExtensionWithoutAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := scripted(t, Options{Extension: ExtensionAsk, Without: AllFeatures})
		if _, err := c.Submit(t.Context(), Request{Type: 3}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		p.wants(ask(2, 3, ""))
	})
}

// A plain peer gets one hello, with a tag of its own, and requests behind it at once.
func TestHelloToAPlainPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := scripted(t, Options{Extension: ExtensionAsk})
		call, err := c.Submit(t.Context(), Request{Type: 3})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		hello := Message{Kind: MessageHello, Hello: c.hello(AllFeatures)}
		p.wants(hello.packet(2), ask(2, 3, ""))
		p.send(Packet{Kind: KindResponse, Channel: ControlChannel, Tag: 2, Payload: []byte("unknown channel 112")}, ok(2, ""))
		if _, err := call.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		call, err = c.Submit(t.Context(), Request{Type: 3})
		if err != nil {
			t.Fatal(err)
		}
		call.Cancel()
		synctest.Wait()
		p.wants(ask(3, 3, "")) // and no word of the cancel
		if c.Features() != 0 {
			t.Error(c.Features())
		}
	})
}

// A call that is given up ends the context of its handler; what waits is not started.
func TestCancelReachesTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		causes := make(chan error, 4)
		served := &recorder{wants: Events(EventRequestDone)}
		started := 0
		a, b, end := asking(t, Options{}, Options{Observer: served, MaxHandlers: 1, Handler: HandlerFunc(func(ctx context.Context, _ Request) (Response, error) {
			started++
			child, stop := context.WithCancel(ctx)
			defer stop()
			if ctx.Err() != nil || child.Err() != nil {
				t.Error("it has ended before it began")
			}
			<-child.Done()
			causes <- context.Cause(child)
			return Response{}, ctx.Err()
		})})
		defer end()
		first, err := a.Submit(t.Context(), Request{Type: 1})
		if err != nil {
			t.Fatal(err)
		}
		second, err := a.Submit(t.Context(), Request{Type: 2})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		second.Cancel()
		first.Cancel()
		synctest.Wait()
		if err := <-causes; !errors.Is(err, errGivenUp) {
			t.Errorf("cause %v", err)
		}
		if started != 1 {
			t.Errorf("%d handlers", started)
		}
		if n := a.Stats().InFlight + b.Stats().Serving + b.Stats().Queued; n != 0 {
			t.Errorf("%d requests are left", n)
		}
		for _, e := range served.events {
			if e.Outcome != OutcomeRejected || e.Rejection != RejectCancelled {
				t.Errorf("%v %v", e.Outcome, e.Rejection)
			}
		}
		if n := b.ext.endings.Load(); n != 0 {
			t.Errorf("%d contexts are left", n)
		}
	})
}

// The context of a handler serves calls back over its own connection, also such as must
// wait for their turn: asking it takes the connection's lock.
func TestHandlerContextWhereCallBacksWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const backs = 4
		var b *Conn
		a, served, end := asking(t, Options{Handler: HandlerFunc(func(context.Context, Request) (Response, error) {
			time.Sleep(time.Second)
			return Response{}, nil
		})}, Options{MaxInFlight: 1, MaxHandlers: 1, Handler: HandlerFunc(func(ctx context.Context, _ Request) (Response, error) {
			type key struct{}
			derived := context.WithValue(ctx, key{}, 1)
			limited, stop := context.WithTimeout(ctx, time.Minute)
			defer stop()
			calls := make(chan error, 3*backs)
			for range backs {
				for _, ctx := range []context.Context{ctx, derived, limited} {
					go func() {
						call, err := b.Submit(ctx, Request{})
						if err == nil {
							_, err = call.Wait(ctx)
						}
						calls <- err
					}()
				}
			}
			for range 3 * backs {
				if err := <-calls; err != nil {
					return Response{}, err
				}
			}
			return Response{}, nil
		})})
		defer end()
		b = served
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := a.Call(ctx, Request{}); err != nil {
			t.Error(err)
		}
		if n := b.ext.endings.Load(); n != 0 {
			t.Errorf("%d contexts are left", n)
		}
	})
}

// The caller's deadline is that of the handler.
func TestDeadlineReachesTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type seen struct {
			at       time.Duration
			known    bool
			err      error
			answered time.Duration
		}
		got := make(chan seen, 2)
		begun := time.Now()
		a, _, end := asking(t, Options{}, Options{MaxHandlers: 1, Handler: HandlerFunc(func(ctx context.Context, r Request) (Response, error) {
			var s seen
			at, known := ctx.Deadline()
			s.at, s.known = at.Sub(begun), known
			if r.Type == 1 {
				<-ctx.Done()
			} else {
				time.Sleep(5 * time.Second) // it does not look
			}
			s.err, s.answered = ctx.Err(), time.Since(begun)
			got <- s
			time.Sleep(time.Millisecond) // the caller's own clock ends the call first
			return Response{}, nil
		})})
		defer end()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if _, err := a.Call(ctx, Request{Type: 1}); outcomeOf(t, err) != OutcomeDeadline {
			t.Error(err)
		}
		// Its own clock, or the cancel of the caller's: in the same moment.
		if s := <-got; s.at != 3*time.Second || !s.known || s.err == nil || s.answered != 3*time.Second {
			t.Errorf("%+v", s)
		}
		if _, err := a.Call(t.Context(), Request{Type: 2}); err != nil {
			t.Error(err)
		}
		if s := <-got; s.known || s.err != nil {
			t.Errorf("%+v", s)
		}
	})
}

// carrying sends something along with calls.
type carrying struct {
	nobody
	m Metadata
}

func (c *carrying) Carry(_ context.Context, m *Metadata) {
	m.Trace, m.State, m.Baggage = c.m.Trace, c.m.State, c.m.Baggage
}

// nobody wants nothing.
type nobody struct{}

func (nobody) Events() EventSet                                    { return 0 }
func (nobody) Begin(ctx context.Context, _ *Event) context.Context { return ctx }
func (nobody) Observe(context.Context, *Event)                     {}

func TestMetadataTravels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trace := make([]byte, traceSize)
		carrier := &carrying{m: Metadata{Trace: trace, State: "a=b", Baggage: strings.Repeat("x", maxBaggage+1)}}
		got := make(chan *Metadata, 1)
		a, _, end := asking(t, Options{Observer: carrier}, Options{Handler: HandlerFunc(func(ctx context.Context, _ Request) (Response, error) {
			got <- MetadataFromContext(ctx)
			if r, ok := RequestFromContext(ctx); !ok || r.Type != 7 {
				t.Errorf("%+v", r)
			}
			return Response{}, nil
		})})
		defer end()
		call := func() *Metadata {
			if _, err := a.Call(t.Context(), Request{Type: 7}); err != nil {
				t.Fatal(err)
			}
			return <-got
		}
		if m := call(); m == nil || !slices.Equal(m.Trace, trace) || m.State != "a=b" || m.Baggage != "" || m.Tag != 2 {
			t.Errorf("%+v", m)
		}
		carrier.m = Metadata{Trace: []byte("no trace"), State: "a=b"}
		if m := call(); m != nil {
			t.Errorf("%+v, want nothing", m)
		}
		carrier.m = Metadata{Baggage: "k=v"}
		if m := call(); m == nil || m.Baggage != "k=v" || m.Trace != nil {
			t.Errorf("%+v", m)
		}
	})
}

// dueContext is a context whose time is over, which nobody has noticed yet.
type dueContext struct{ context.Context }

func (dueContext) Deadline() (time.Time, bool) { return time.Now(), true }

// A peer that knows the caller's deadline may be quicker to say that it has passed than the
// caller's own timer. That is what it is for the caller, not a rejection.
func TestRejectionsAtTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, without := range []Features{0, FeatureMetadata} {
			a, _, end := asking(t, Options{Without: without}, Options{Handler: HandlerFunc(func(context.Context, Request) (Response, error) {
				return Response{}, Reject("no")
			})})
			_, err := a.Call(dueContext{context.Background()}, Request{})
			if without == 0 {
				if e := (*Error)(nil); !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &e) || e.Outcome != OutcomeDeadline || !e.Sent {
					t.Errorf("%v, want a deadline that has passed", err)
				}
			} else if !errors.Is(err, ErrRejected) {
				t.Errorf("%v, want a rejection", err)
			}
			if _, err := a.Call(t.Context(), Request{}); !errors.Is(err, ErrRejected) {
				t.Errorf("%v, without a deadline", err)
			}
			end()
		}
	})
}

// A response that took long comes with the peer's times.
func TestTimesComeWithSlowResponses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(listing)
		a, _, end := asking(t, Options{Observer: l}, Options{
			Observer: new(listing), MaxHandlers: 1,
			Handler: HandlerFunc(func(_ context.Context, r Request) (Response, error) {
				time.Sleep(time.Duration(r.Type) * time.Millisecond)
				return Response{}, nil
			}),
		})
		defer end()
		var calls []*Call
		for _, ms := range []uint64{30, 20, 0} {
			call, err := a.Submit(t.Context(), Request{Type: ms})
			if err != nil {
				t.Fatal(err)
			}
			calls = append(calls, call)
		}
		for _, call := range calls {
			if _, err := call.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := a.Call(t.Context(), Request{}); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range l.ends {
			queued, handled, known := e.Remote()
			got = append(got, fmt.Sprint(queued, handled, known))
		}
		want := []string{"0s 30ms true", "30ms 20ms true", "50ms 0s true", "0s 0s false"}
		if !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	})
}

// So does that of a handler which began on the reader, since it is quick as a rule, and was
// not this time.
func TestTimesOfAHandlerThatLostTheReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mux := new(Mux)
		mux.Inline(1, "Stall", HandlerFunc(func(context.Context, Request) (Response, error) {
			time.Sleep(30 * time.Millisecond)
			return Response{}, nil
		}))
		l := new(listing)
		a, _, end := asking(t, Options{Observer: l}, Options{Observer: new(listing), Handler: mux})
		defer end()
		if _, err := a.Call(t.Context(), Request{Type: 1}); err != nil {
			t.Fatal(err)
		}
		if queued, handled, known := l.ends[0].Remote(); queued != 0 || handled != 30*time.Millisecond || !known {
			t.Errorf("queued for %v, handled for %v, known %v; want 30ms of a handler", queued, handled, known)
		}
	})
}

// No more calls are in flight than the peer says that it takes.
func TestCreditBoundsCallsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, release := held()
		a, b, end := asking(t, Options{}, Options{Handler: h, MaxHandlers: 2, MaxQueued: 3})
		defer end()
		done := make(chan error, 20)
		for range 20 {
			go func() {
				_, err := a.Call(t.Context(), Request{Type: 1})
				done <- err
			}()
		}
		synctest.Wait()
		if s, n := b.Stats(), a.Stats().InFlight; n != 5 || s.Serving != 2 || s.Queued != 3 || s.Paused {
			t.Errorf("%d in flight, at the peer %+v", n, s)
		}
		for range 20 {
			release <- struct{}{}
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

// Clients leave a server that ends, before it rejects anything: no call fails.
func TestGoingAwayFailsNoCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var servers []*Conn
		dial := func(context.Context) (io.ReadWriter, func() error, error) {
			near, far := net.Pipe()
			s, err := NewConn(far, Options{Handler: echo, DrainTimeout: time.Second})
			if err != nil {
				t.Error(err)
			}
			servers = append(servers, s)
			return near, func() error { return errors.Join(near.Close(), far.Close()) }, nil
		}
		client, err := NewClient(dial, ClientOptions{})
		if err != nil {
			t.Fatal(err)
		}
		call := func() {
			t.Helper()
			if _, err := client.Call(t.Context(), Request{Payload: []byte("x")}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 5 {
			call()
			time.Sleep(time.Second)
			if len(servers) != i+1 {
				t.Fatalf("%d connections, want %d", len(servers), i+1)
			}
			ended := make(chan error, 1)
			go func() { ended <- servers[i].Shutdown(t.Context()) }()
			synctest.Wait()
			call() // it has another one dialled
			synctest.Wait()
			if len(servers) != i+2 {
				t.Fatalf("%d connections while the server ends, want %d", len(servers), i+2)
			}
			call()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		client.Close()
		for _, s := range servers {
			s.Close()
		}
	})
}

// A connection that ends tells, before its EOF, what it has not served: what is on the wire
// then is dropped, and may be sent elsewhere.
func TestTheLastTagComesBeforeEOF(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := scripted(t, Options{Handler: echo})
		hello := Hello{Version: 1, Features: FeatureGoingAway, Nonce: 7}
		p.send(Packet{Kind: KindRequest, Channel: ControlChannel, Tag: 2, Payload: hello.append(nil)})
		p.send(Packet{Kind: KindRequest, Tag: 2}, Packet{Kind: KindRequest, Tag: 3})
		synctest.Wait()
		p.take()
		ended := make(chan error, 1)
		go func() { ended <- c.Shutdown(t.Context()) }()
		synctest.Wait()
		leaves := Message{Kind: MessageGoingAway}
		served := Message{Kind: MessageGoingAway, Last: []ChannelTag{{0, 3}}}
		p.wants(leaves.packet(2), served.packet(3), packetEndRequests, packetEOF)
		p.send(Packet{Kind: KindRequest, Tag: 4})
		synctest.Wait()
		p.wants()
		p.send(packetEOF)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// Requests behind those that a peer serves still are for sending elsewhere.
func TestGoingAwayWithTheLastTag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := &recorder{wants: Events(EventCallDone, EventCallLate)}
		c, p := scripted(t, Options{Extension: ExtensionAsk, Observer: rec})
		synctest.Wait()
		p.take()
		hello := Hello{Version: 1, Features: AllFeatures, Credit: 100}
		p.send(Packet{Kind: KindResponse, OK: true, Channel: ControlChannel, Tag: 2, Payload: hello.append(nil)})
		synctest.Wait()
		served, err := c.Submit(t.Context(), Request{})
		if err != nil {
			t.Fatal(err)
		}
		unserved, err := c.Submit(t.Context(), Request{})
		if err != nil {
			t.Fatal(err)
		}
		later := make(chan error, 3)
		c.Go(t.Context(), Request{}, func(_ Response, err error) { later <- err })
		go func() {
			_, err := c.Call(t.Context(), Request{})
			later <- err
		}()
		synctest.Wait()
		goingAway := Message{Kind: MessageGoingAway, Last: []ChannelTag{{0, 2}}}
		p.send(goingAway.packet(2), notOK(3, textRequestsEnded), notOK(4, textRequestsEnded))
		p.send(notOK(5, textRequestsEnded))
		_, err = unserved.Wait(t.Context())
		if e := (*Error)(nil); !errors.As(err, &e) || e.Outcome != OutcomeLost || e.Sent || !errors.Is(err, ErrGoingAway) {
			t.Errorf("%v", err)
		}
		p.send(ok(2, "x"))
		if _, err := served.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		for range 2 {
			if err := <-later; !errors.Is(err, ErrGoingAway) {
				t.Error(err)
			}
		}
		if len(later) > 0 {
			t.Errorf("%d more", len(later))
		}
		if !c.PeerGoingAway() || c.Stats().InFlight != 0 || rec.count(EventCallDone) != 4 || rec.count(EventCallLate) != 3 {
			t.Errorf("%+v", c.Stats())
		}
	})
}
