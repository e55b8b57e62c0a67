package stream

import (
	"context"
	"errors"
	"fmt"
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
