package stream

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

type decidesKey struct{}

// foreseeing follows each tenth call, requests whose tag is a multiple of ten, and those
// whose context has a value, or with which metadata has come.
type foreseeing struct {
	choosing
	foresaw int
}

func (o *foreseeing) Events() EventSet {
	return Events(EventCallBegin, EventCallDone, EventRequestBegin, EventRequestDone)
}

func (o *foreseeing) Decides() any { return decidesKey{} }

func (o *foreseeing) Foresee(_ *Conn, role Role, _, tag uint64) uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.foresaw++
	if role == RoleClient {
		return 9
	}
	return (10 - tag%10) % 10
}

func (o *foreseeing) Chooses(ctx context.Context, _ *Conn, role Role, _, tag, _ uint64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked++
	return ctx.Value(decidesKey{}) != nil || MetadataFromContext(ctx) != nil || role == RoleServer && tag%10 == 0
}

func (o *foreseeing) Begin(ctx context.Context, e *Event) context.Context {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = append(o.seen, fmt.Sprintf("%v %d", e.Kind, e.Packet.Tag))
	return ctx
}

func (o *foreseeing) Observe(context.Context, *Event) {}

// took returns how often it was asked and looked ahead, and what it has seen begin.
func (o *foreseeing) took() (asked, foresaw int, seen []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	asked, foresaw, seen = o.asked, o.foresaw, o.seen
	o.asked, o.foresaw, o.seen = 0, 0, nil
	return asked, foresaw, seen
}

// askOneByOne makes calls, by Call or by Go.
func askOneByOne(t *testing.T, ctx context.Context, c *Conn, n int, byGo bool) {
	t.Helper()
	for range n {
		if byGo {
			c.Go(ctx, Request{}, func(_ Response, err error) {
				if err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		} else if _, err := c.Call(ctx, Request{}); err != nil {
			t.Fatal(err)
		}
	}
}

// Of the requests of a peer it is asked about those alone that were not foreseen.
func TestForeseenRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := new(foreseeing)
		a, b, end := pair(t, Options{}, Options{Observer: o, Handler: echo})
		defer end()
		askOneByOne(t, t.Context(), a, 40, false)
		var want []string
		for tag := uint64(firstTag); tag < firstTag+40; tag++ {
			if tag%10 == 0 {
				want = append(want, fmt.Sprintf("request_begin %d", tag))
			}
		}
		asked, foresaw, seen := o.took()
		if !slices.Equal(seen, want) || asked != 4 || foresaw > 9 {
			t.Errorf("asked %d times, looked ahead %d times, seen %q, want %q", asked, foresaw, seen, want)
		}
		b.AskObserver()
		askOneByOne(t, t.Context(), a, 1, false)
		if _, foresaw, _ := o.took(); foresaw != 1 {
			t.Errorf("looked ahead %d times when asked anew, want once", foresaw)
		}
	})
}

// A peer may leave tags out: what was foreseen is of those right after each other.
func TestForeseenTagsWithGaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := new(foreseeing)
		c, p := quickly(t, Options{Observer: o, Handler: odd(nil)})
		defer c.Close()
		last := c.ch0.lastServed
		o.took()
		var want []string
		for _, after := range []uint64{3, 4, 20, 22, 41, 50, 51, 60} {
			p.send(ask(last-last%10+10+after, 0, "x"))
			synctest.Wait()
			if after%10 == 0 {
				want = append(want, fmt.Sprintf("request_begin %d", last-last%10+10+after))
			}
		}
		if _, _, seen := o.took(); !slices.Equal(seen, want) {
			t.Errorf("seen %q, want %q", seen, want)
		}
	})
}

// Once both sides have agreed on the extension, requests have other identities.
func TestForeseenAnewWithExtension(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b, end := pair(t, Options{}, Options{Observer: new(foreseeing), Handler: echo})
		defer end()
		b.mu.Lock()
		b.ch0.foreseen = foreseen{of: b.watch.Load(), unchosen: 5}
		b.agree(0, &Hello{Nonce: 7})
		left := b.ch0.foreseen.unchosen
		b.mu.Unlock()
		if left != 0 {
			t.Errorf("%d requests are still foreseen", left)
		}
	})
}

// Metadata, and the connection's own context, decide about requests whatever was foreseen.
func TestForeseenRequestsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := new(foreseeing)
		a, b, end := pair(t, Options{Extension: ExtensionAsk}, Options{Observer: o, Handler: echo})
		defer end()
		synctest.Wait()
		if !b.ext.has(FeatureMetadata) {
			t.Fatal("no metadata is agreed on")
		}
		askOneByOne(t, t.Context(), a, 2, false)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		o.took()
		askOneByOne(t, ctx, a, 2, false)
		askOneByOne(t, t.Context(), a, 1, false)
		if asked, _, seen := o.took(); asked != 2 || len(seen) != 2 {
			t.Errorf("asked %d times about 2 requests with a timeout, seen %q", asked, seen)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		o := new(foreseeing)
		ctx := context.WithValue(t.Context(), decidesKey{}, 1)
		a, _, end := pair(t, Options{}, Options{Observer: o, Handler: echo, BaseContext: ctx})
		defer end()
		askOneByOne(t, t.Context(), a, 5, false)
		if asked, foresaw, seen := o.took(); asked != 5 || foresaw != 0 || len(seen) != 5 {
			t.Errorf("asked %d times about 5 requests of a connection with a value, looked ahead %d times, seen %q", asked, foresaw, seen)
		}
	})
}

// Of calls that nothing decides about, each that was foreseen is chosen without a question.
func TestForeseenCalls(t *testing.T) {
	for _, byGo := range []bool{false, true} {
		t.Run(fmt.Sprint("by Go: ", byGo), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := new(foreseeing)
				a, _, end := pair(t, Options{Observer: o}, Options{Handler: echo})
				defer end()
				askOneByOne(t, t.Context(), a, 200, byGo)
				asked, foresaw, seen := o.took()
				// With one object for all calls these were 20 and 20. (Under the race detector
				// pools lose objects.)
				if asked != 0 || len(seen) > 20 || len(seen) < 20 && foresaw == 20 || foresaw < 20 {
					t.Errorf("asked %d times about 200 calls, looked ahead %d times, seen %d begin", asked, foresaw, len(seen))
				}
				ctx := context.WithValue(t.Context(), decidesKey{}, 1)
				askOneByOne(t, ctx, a, 3, byGo)
				if asked, _, seen := o.took(); asked != 3 || len(seen) != 3 {
					t.Errorf("asked %d times about 3 calls with a value, seen %q", asked, seen)
				}
			})
		})
	}
}

// One who cannot foresee, and wants to see beginnings too, is shown all of them.
func TestForeseerBesideOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, all := new(foreseeing), &recorder{wants: Events(EventCallBegin, EventRequestBegin)}
		a, _, end := pair(t, Options{Observer: Observers(o, all)}, Options{Observer: Observers(o, all), Handler: echo})
		defer end()
		askOneByOne(t, t.Context(), a, 20, false)
		if asked, foresaw, _ := o.took(); asked != 40 || foresaw != 0 {
			t.Errorf("asked %d times about 20 calls and requests, looked ahead %d times", asked, foresaw)
		}
		if calls, requests := all.count(EventCallBegin), all.count(EventRequestBegin); calls != 20 || requests != 20 {
			t.Errorf("the other was shown %d calls and %d requests, want 20 of each", calls, requests)
		}
	})
}
