package stream

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Call is a request that was submitted (Result of the Python package). It ends
// in exactly one outcome. Its methods may be called concurrently.
type Call struct {
	callUse

	done   chan struct{} // Submit: closed; Call: one token, the object is used again
	pooled bool

	foreseen foreseen // also kept when the object is used again
}

// callUse is what belongs to one request. It is emptied where the object is used again, by
// itself: a literal with what is kept would be made beside it and copied. Calls in flight
// are in no cache, so their size matters: a Call is allocated as 256 bytes, four whole lines.
type callUse struct {
	conn    *Conn
	channel uint64
	typ     uint64
	flags   uint64
	size    int // of the request's payload
	label   string
	tag     uint64 // set before the call is given out
	start   uint64 // where its packet begins in the stream that is sent
	begun   moment
	waited  time.Duration   // to be queued
	sent    *mark           // of its packet; nil: nobody wants to know
	ctx     context.Context // of its events
	remote  remote

	// Written by whoever settles the call, before done tells. Until then the payload is
	// the caller's buffer, which is the engine's.
	resp    Response
	err     error
	outcome Outcome

	listed    bool // its end has been shown in a list
	followers followers

	// givenUp is guarded by the connection's mu: whoever sets it, or takes the
	// call out of the table, alone settles it. queued, too: whether it ever was in the
	// table.
	givenUp, queued bool

	notify func(Response, error) // Go: called instead
	stop   func() bool           // stops watching the caller's context; may be nil
}

// settle gives the call its outcome and tells whoever waits. The caller has the
// right to settle it, and holds no lock. The call is not touched afterwards. at is
// when the response came, if one did.
func (call *Call) settle(at moment, outcome Outcome, resp Response, err error) {
	c := call.conn
	call.outcome, call.resp, call.err = outcome, resp, err
	if w := c.watch.Load(); call.listed && w.each.Has(EventCallDone) || !call.listed && w.wantsOf(EventCallDone, call.followers) {
		e := call.event(EventCallDone)
		e.Outcome, e.Err, e.Size = outcome, err, len(resp.Payload)
		if outcome == OutcomeRejected {
			if re, ok := errors.AsType[*Error](err); ok {
				e.Size = len(re.Payload)
			}
		}
		if at != 0 {
			e.Answered = call.begun.until(at)
		}
		at = now()
		e.Time, e.Duration, e.Waited, e.listed = at.time(), call.begun.until(at), call.waited, call.listed
		c.observe(call.ctx, e)
	}
	switch {
	case call.notify != nil:
		notify := call.notify
		// It is used again, unless it is given up, or its context has ended: then the
		// table names it still, and whoever gives it up may be about to look at it.
		if (call.stop == nil || call.stop()) && !call.givenUp {
			call.callUse = callUse{}
			goPool.Put(call)
		}
		notify(resp, err)
	case call.pooled:
		call.done <- struct{}{}
	default:
		if call.stop != nil {
			call.stop()
		}
		close(call.done)
	}
}

func (call *Call) event(kind EventKind) *Event {
	e := newEvent(kind, call.size, call.followers)
	e.Label, e.begun, e.sent, e.remote = call.label, call.begun, call.sent, call.remote
	e.Packet.Channel, e.Packet.Tag, e.Packet.Flags, e.Packet.Type = call.channel, call.tag, call.flags, call.typ
	return e
}

// fail makes the error of this call.
func (call *Call) fail(outcome Outcome, cause error) *Error {
	return &Error{
		Outcome: outcome, Conn: call.conn.opts.Name, Channel: call.channel, Tag: call.tag,
		Type: call.typ, Label: call.Label(), Err: cause,
	}
}

// Done is closed when the call has its outcome.
func (call *Call) Done() <-chan struct{} { return call.done }

// Wait waits for the outcome and returns the response, or an [*Error] that says
// what became of the request. When ctx ends first Wait returns its error and the
// call goes on; Cancel gives it up.
func (call *Call) Wait(ctx context.Context) (Response, error) {
	select {
	case <-call.done:
		return call.resp, call.err
	default:
	}
	select {
	case <-call.done:
		return call.resp, call.err
	case <-ctx.Done():
		return Response{}, ctx.Err()
	}
}

// Cancel gives the call up: unless it has its outcome already, that is
// OutcomeCanceled now, and everybody who waits is woken. Nothing is sent; a late
// response is dropped, and the tag is not used again. It does not block.
func (call *Call) Cancel() { call.conn.giveUp(call, context.Canceled) }

// Outcome is the call's outcome, or OutcomePending.
func (call *Call) Outcome() Outcome {
	select {
	case <-call.done:
		return call.outcome
	default:
		return OutcomePending
	}
}

// Tag is the number by which the response will name this request.
func (call *Call) Tag() uint64 { return call.tag }

// Label is the request's label, by default made of its type, flags and size.
func (call *Call) Label() string {
	if call.label == "" {
		return defaultLabel(call.typ, call.flags, call.size)
	}
	return call.label
}

// Name is connection:tag:label, such as "ref:4:rq_type=3,0b101,3bs".
func (call *Call) Name() string { return callName(call.conn.opts.Name, call.tag, call.Label()) }

// goPool has the calls of Go that nobody knows any more.
var goPool = sync.Pool{New: func() any { return new(Call) }}

// newCall returns a call for Conn.Call to use. The pool is the connection's own,
// since the channels in it belong to where they are made ([testing/synctest]).
func (c *Conn) newCall() *Call {
	if call, ok := c.callPool.Get().(*Call); ok {
		return call
	}
	return &Call{pooled: true, done: make(chan struct{}, 1)}
}

// recycle gives a call of Conn.Call back, unless it was given up: then the table names it
// still. Nobody else knows it any more.
func (c *Conn) recycle(call *Call) {
	if call.givenUp {
		return
	}
	call.callUse = callUse{}
	c.callPool.Put(call)
}
