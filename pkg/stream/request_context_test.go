package stream

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

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
