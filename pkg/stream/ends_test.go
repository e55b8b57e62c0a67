package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// ends are all the ways in which a connection ends under calls in flight.
var ends = []struct {
	name    string
	options Options
	deaf    bool // the peer takes no bytes
	end     func(t *testing.T, c *Conn, p *peer)

	cause   error // what the errors of calls match, beside ErrConnectionLost
	refused error // what the error of a call matches that still waited to be sent
	open    bool  // the connection itself goes on until it is shut down
	reason  Reason
	err     error // what Err matches; nil: it is nil
}{
	{
		name: "the peer's EOF", end: func(_ *testing.T, _ *Conn, p *peer) { p.send(packetEOF) },
		cause: ErrPeerEnded, refused: ErrPeerEnded, open: true, reason: ReasonShutdown,
	},
	{
		name: "the stream ends between packets", end: func(_ *testing.T, _ *Conn, p *peer) { p.to.Close() },
		cause: ErrPeerEnded, refused: ErrPeerEnded, open: true, reason: ReasonStreamEnd,
	},
	{
		name: "the stream ends inside a packet",
		end:  func(_ *testing.T, _ *Conn, p *peer) { p.sendBytes([]byte{9, 2}); p.to.Close() },
		// An error type is matched by itself, see isProtocolError.
		cause: errProtocol, refused: errProtocol, reason: ReasonTruncated, err: errProtocol,
	},
	{
		name: "malformed input", end: func(_ *testing.T, _ *Conn, p *peer) { p.sendBytes([]byte{0}) },
		cause: errProtocol, refused: errProtocol, reason: ReasonMalformed, err: errProtocol,
	},
	{
		name: "malformed input of a peer that takes no bytes", deaf: true,
		end:   func(_ *testing.T, _ *Conn, p *peer) { p.sendBytes([]byte{0}) },
		cause: errProtocol, refused: errProtocol, reason: ReasonMalformed, err: errProtocol,
	},
	{
		name: "a read error", end: func(_ *testing.T, _ *Conn, p *peer) { p.in.Close() },
		cause: io.ErrClosedPipe, refused: io.ErrClosedPipe, reason: ReasonReadError, err: io.ErrClosedPipe,
	},
	{
		name: "a write error", end: func(_ *testing.T, _ *Conn, p *peer) {
			p.from.Close()
			p.send(Packet{Channel: 5, Tag: 2}) // its rejection cannot be written
		},
		cause: io.ErrClosedPipe, refused: io.ErrClosedPipe, reason: ReasonWriteError, err: io.ErrClosedPipe,
	},
	{
		name: "the peer takes no bytes for too long", deaf: true, options: Options{WriteTimeout: 5 * time.Second},
		end:   func(*testing.T, *Conn, *peer) { time.Sleep(5 * time.Second) },
		cause: ErrSlowConsumer, refused: ErrSlowConsumer, reason: ReasonSlowConsumer, err: ErrSlowConsumer,
	},
	{
		name: "no first byte", options: Options{FirstByteTimeout: 5 * time.Second},
		end:   func(*testing.T, *Conn, *peer) { time.Sleep(5 * time.Second) },
		cause: ErrTimeLimit, refused: ErrTimeLimit, reason: ReasonTimeout, err: ErrTimeLimit,
	},
	{
		name: "Close", end: func(t *testing.T, c *Conn, _ *peer) {
			for range 3 {
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			}
		},
		cause: ErrClosed, refused: ErrClosed, reason: ReasonClosed, err: ErrClosed,
	},
	{
		name: "Close while the peer takes no bytes", deaf: true,
		end:   func(_ *testing.T, c *Conn, _ *peer) { c.Close() },
		cause: ErrClosed, refused: ErrClosed, reason: ReasonClosed, err: ErrClosed,
	},
	{
		name: "Close during a shutdown", end: func(_ *testing.T, c *Conn, _ *peer) { c.shutdown(nil, ReasonNone); c.Close() },
		cause: ErrClosed, refused: ErrClosed, reason: ReasonClosed, err: ErrClosed,
	},
	{
		name: "Shutdown that is cut short", end: func(_ *testing.T, c *Conn, _ *peer) {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			_ = c.Shutdown(ctx)
		},
		cause: context.DeadlineExceeded, refused: ErrClosed, reason: ReasonClosed, err: ErrClosed,
	},
}

// errProtocol stands for any *ProtocolError.
var errProtocol = errors.New("a *ProtocolError")

func matches(err, target error) bool {
	if target == errProtocol { //nolint:errorlint // this is how Is tells what it stands for
		pe := (*ProtocolError)(nil)
		return errors.As(err, &pe)
	}
	return errors.Is(err, target)
}

// Every waiter of every call is woken by every kind of end, and the connection
// says everywhere in the same way how it ended.
func TestEveryEndWakesEveryWaiter(t *testing.T) {
	for _, tt := range ends {
		bubble(t, tt.name, func(t *testing.T) {
			const inFlight = 3
			o := tt.options
			o.MaxInFlight = inFlight
			cancelled := make(chan error, 1)
			o.Handler = HandlerFunc(func(ctx context.Context, _ Request) (Response, error) {
				<-ctx.Done()
				cancelled <- context.Cause(ctx)
				return Response{}, ctx.Err()
			})
			p := deafPeer(t)
			c, err := NewConn(p.stream, o)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if !tt.deaf {
				p.listen()
			}
			if tt.options.FirstByteTimeout == 0 && !tt.open {
				p.send(ask(2, 1, ""))
			} else {
				cancelled <- nil
			}

			// Three calls in flight, each form with its waiters.
			errs := make(chan error, 10)
			waits := 0
			wait := func(f func() error) { waits++; go func() { errs <- f() }() }
			call, err := c.Submit(t.Context(), Request{Label: "submitted"})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				wait(func() error { _, err := call.Wait(context.Background()); return err })
				wait(func() error { <-call.Done(); return call.err })
			}
			wait(func() error { _, err := c.Call(context.Background(), Request{Label: "called"}); return err })
			waits++
			c.Go(t.Context(), Request{Label: "gone"}, func(_ Response, err error) { errs <- err })
			synctest.Wait()
			refused := later(func() error { _, err := c.Call(context.Background(), Request{}); return err })
			synctest.Wait()
			if n := c.Stats().InFlight; n != inFlight || len(errs) > 0 || len(refused) > 0 {
				t.Fatalf("%d in flight, %d have ended, waiting %d", n, len(errs), len(refused))
			}

			tt.end(t, c, p)
			synctest.Wait()
			if len(errs) != waits || len(refused) != 1 {
				t.Fatalf("woken: %d of %d, refused %d", len(errs), waits, len(refused))
			}
			for range waits {
				err := <-errs
				if !errors.Is(err, ErrConnectionLost) || !matches(err, tt.cause) || outcomeOf(t, err) != OutcomeLost {
					t.Errorf("%v, want lost, %v", err, tt.cause)
				}
			}
			if err := <-refused; !matches(err, tt.refused) || outcomeOf(t, err) != OutcomeRefused {
				t.Errorf("waited to be sent: %v, want refused, %v", err, tt.refused)
			}
			if !ended(c.Received()) {
				t.Error("receiving goes on")
			}
			if tt.open {
				if ended(c.Done()) || c.Reason() != ReasonNone || c.Err() != nil {
					t.Errorf("it ended by itself: %v, %v", c.Reason(), c.Err())
				}
				if err := c.Shutdown(deadline(t)); err != nil {
					t.Error(err)
				}
			} else {
				// Handlers that run may still answer after malformed input.
				time.Sleep(DefaultLinger)
				synctest.Wait()
			}
			if !ended(c.Done()) {
				t.Fatal("it has not ended")
			}
			if c.Reason() != tt.reason || !matches(c.Err(), tt.err) || (tt.err == nil) != (c.Err() == nil) {
				t.Errorf("ended as %v, %v; want %v, %v", c.Reason(), c.Err(), tt.reason, tt.err)
			}
			<-cancelled
			synctest.Wait()
			if s := c.Stats(); s.InFlight != 0 || s.Serving != 0 || s.Queued != 0 || s.QueuedBytes != 0 || s.Paused {
				t.Errorf("left open: %+v", s)
			}
			if list := c.OpenRequests(); len(list) != 0 {
				t.Errorf("still listed: %v", list)
			}
		})
	}
}

// What ends one call alone wakes all who wait for it, and nobody else.
func TestEveryOutcomeWakesEveryWaiter(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(call *Call, p *peer, cancel context.CancelFunc)
		want Outcome
		is   error
	}{
		"answer":    {func(_ *Call, p *peer, _ context.CancelFunc) { p.send(ok(2, "")) }, OutcomeOK, nil},
		"rejection": {func(_ *Call, p *peer, _ context.CancelFunc) { p.send(notOK(2, "no")) }, OutcomeRejected, nil},
		"Cancel":    {func(call *Call, _ *peer, _ context.CancelFunc) { call.Cancel() }, OutcomeCanceled, context.Canceled},
		"context":   {func(_ *Call, _ *peer, cancel context.CancelFunc) { cancel() }, OutcomeCanceled, context.Canceled},
		"deadline": {
			func(*Call, *peer, context.CancelFunc) { time.Sleep(time.Minute) },
			OutcomeDeadline, context.DeadlineExceeded,
		},
	} {
		bubble(t, name, func(t *testing.T) {
			c, p := scripted(t, Options{})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			call, err := c.Submit(ctx, Request{})
			other, err2 := c.Submit(context.Background(), Request{})
			if err != nil || err2 != nil {
				t.Fatal(err, err2)
			}
			errs := make(chan error, 4)
			for range 4 {
				go func() { _, err := call.Wait(context.Background()); errs <- err }()
			}
			short, stop := context.WithTimeout(t.Context(), time.Second)
			defer stop()
			if _, err := call.Wait(short); !errors.Is(err, context.DeadlineExceeded) || call.Outcome() != OutcomePending {
				t.Errorf("a waiter that goes away: %v; the call: %v", err, call.Outcome())
			}
			tt.end(call, p, cancel)
			synctest.Wait()
			if len(errs) != 4 || call.Outcome() != tt.want || other.Outcome() != OutcomePending {
				t.Fatalf("%d woken, %v, the other call %v", len(errs), call.Outcome(), other.Outcome())
			}
			for range 4 {
				err := <-errs
				if (tt.want == OutcomeOK) != (err == nil) || !errors.Is(err, tt.is) && tt.is != nil {
					t.Errorf("%v, want %v", err, tt.is)
				}
			}
		})
	}
}

// Anybody may end a connection at any time, as often as they like.
func TestEndingAtAnyTime(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 7))
		network := []string{"pipe", "tcp", "unix"}[seed%3]
		a, b := connected(t, network, Options{Handler: matrixMux()}, Options{Handler: matrixMux()})
		var work, endings sync.WaitGroup
		for _, c := range []*Conn{a, b} {
			for range 4 {
				work.Go(func() {
					for i := 0; ; i++ {
						_, err := c.Call(context.Background(), Request{Type: []uint64{0, 1, typeCallBack}[i%3], Payload: make([]byte, i)})
						if err != nil && outcomeOf(t, err) != OutcomeRejected {
							return
						}
					}
				})
			}
			for range 5 {
				after, how := time.Duration(r.IntN(3000))*time.Microsecond, r.IntN(4)
				endings.Go(func() {
					select {
					case <-time.After(after):
					case <-c.Received():
					}
					ctx, cancel := context.WithTimeout(context.Background(), after)
					defer cancel()
					switch how {
					case 0:
						_ = c.Shutdown(ctx)
					case 1:
						c.EndSending()
						c.EndRequests()
						_ = c.Shutdown(ctx)
					case 2:
						_ = c.Shutdown(deadline(t))
					default:
						_ = c.Close()
					}
				})
			}
		}
		endings.Wait()
		work.Wait()
		for _, c := range []*Conn{a, b} {
			if !ended(c.Done()) || !ended(c.Received()) || c.Reason() == ReasonNone {
				t.Errorf("%d: not ended: %v", seed, c.Reason())
			}
			eventually(t, fmt.Sprintf("handlers of %v have ended", c.Reason()), func() bool {
				s := c.Stats()
				return s.InFlight == 0 && s.Serving == 0 && s.Queued == 0 && s.QueuedBytes == 0
			})
		}
	}
}

// Done tells that every call has its outcome, also of calls whose outcome is
// being told at that moment, and where the stream cannot be interrupted.
func TestDoneComesAfterAllOutcomes(t *testing.T) {
	for name, end := range map[string]func(p *peer, cancel context.CancelFunc){
		"given up":       func(_ *peer, cancel context.CancelFunc) { cancel() },
		"answered":       func(p *peer, _ context.CancelFunc) { p.send(ok(2, "")) },
		"the peer's EOF": func(p *peer, _ context.CancelFunc) { p.send(packetEOF) },
	} {
		bubble(t, name, func(t *testing.T) {
			p := deafPeer(t)
			p.listen()
			c, err := NewConn(Join(io.MultiReader(p.in), onlyWriter{p.out}), Options{})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			told, goOn := make(chan error, 1), make(chan struct{})
			c.Go(ctx, Request{}, func(_ Response, err error) {
				told <- err
				<-goOn
			})
			synctest.Wait()
			end(p, cancel)
			<-told
			closed := later(c.Close)
			synctest.Wait()
			if ended(c.Done()) {
				t.Error("done while an outcome is being told")
			}
			close(goOn)
			<-closed
			finished(t, c, ReasonClosed, ErrClosed)
			p.to.Close() // lets go of the reader
		})
	}
}

func TestLateAnswersAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := tap(EventCallLate, EventCallUnknown)
		c, p := scripted(t, Options{Observer: seen})
		call, err := c.Submit(deadline(t), Request{})
		if err != nil {
			t.Fatal(err)
		}
		call.Cancel()
		call.Cancel()
		p.send(ok(2, "late"), ok(2, "twice"), Packet{Kind: KindResponse, Channel: 9, Tag: 2})
		seen.next(deadline(t), t, EventCallLate)
		seen.next(deadline(t), t, EventCallUnknown)
		seen.next(deadline(t), t, EventCallUnknown)
		if call.Outcome() != OutcomeCanceled {
			t.Error(call.Outcome())
		}
		next := later(func() error { _, err := c.Call(deadline(t), Request{}); return err })
		synctest.Wait()
		p.wants(ask(2, 0, ""), ask(3, 0, "")) // the tag is not used again
		p.send(notOK(3, "no"))
		if err := <-next; outcomeOf(t, err) != OutcomeRejected {
			t.Error(err)
		}
	})
}

// Nobody need want the outcome of a request.
func TestGoWithoutDone(t *testing.T) {
	a, _ := connected(t, "pipe", Options{}, Options{Handler: echo})
	a.Go(t.Context(), Request{}, nil)
	a.Go(t.Context(), Request{Flags: 1 << 63}, nil) // refused
	if _, err := a.Call(deadline(t), Request{}); err != nil {
		t.Error(err)
	}
	atRest(t, a)
}

// Calls on every channel end with their connection.
func TestCallsOnEveryChannelEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := newRawPeer(t, Options{Channels: map[uint64]Handler{1: nil, 900: nil}})
		var calls []*Call
		for _, channel := range []uint64{0, 1, 900} {
			call, err := c.Submit(t.Context(), Request{Channel: channel})
			if err != nil {
				t.Fatal(err)
			}
			calls = append(calls, call)
		}
		p.far.Close()
		<-c.Done()
		for _, call := range calls {
			if _, err := call.Wait(deadline(t)); !errors.Is(err, ErrConnectionLost) {
				t.Errorf("%s: %v", call.Name(), err)
			}
		}
		if n := c.Stats().InFlight; n != 0 {
			t.Errorf("%d are still in flight", n)
		}
	})
}
