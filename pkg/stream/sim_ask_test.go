package stream

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"
)

// simRequest is one request and what became of it.
type simRequest struct {
	id       uint64
	typ      uint64
	payload  []byte
	client   bool          // made by a Client, which dials again
	repeats  bool          // may run more than once
	begun    time.Time     // asked
	deadline time.Duration // 0: none
	canceled atomic.Bool
	runs     atomic.Int64 // handlers that began
	outcomes atomic.Int64
	outcome  Outcome
}

// begin books a new request.
func (w *simWorld) begin(typ uint64, payload []byte) *simRequest {
	r := &simRequest{id: w.lastID.Add(1), typ: typ, begun: time.Now()}
	r.payload = append(binary.BigEndian.AppendUint64(nil, r.id), payload...)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests[r.id] = r
	return r
}

func (r *simRequest) request() Request {
	return Request{Type: r.typ, Flags: r.id % 1000, Payload: r.payload, Idempotent: r.repeats}
}

// asks is one caller at one side of a link.
func (l *simLink) asks(side int, r *rand.Rand) {
	every := l.world.plan.length / time.Duration(l.plan.requests)
	for range l.plan.requests {
		if chance(r, 2) && !l.world.sleep(upTo(r, every)) {
			return
		}
		caller := l.caller(side)
		if caller == nil {
			continue
		}
		if l.ask(caller, side, r) == OutcomeRefused && (!l.plan.reconnects || ended(l.world.over)) {
			return // for ever
		}
	}
}

// simCaller is a Conn or a Client.
type simCaller interface {
	Call(ctx context.Context, req Request) (Response, error)
	Submit(ctx context.Context, req Request) (*Call, error)
}

// caller is who asks at a side now, or nil if nobody is connected yet.
func (l *simLink) caller(side int) simCaller {
	if side == 0 && l.client != nil {
		return l.client
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conns[side] == nil {
		return nil
	}
	return l.conns[side]
}

// ask makes one request in one of the forms that there are.
func (l *simLink) ask(caller simCaller, side int, r *rand.Rand) Outcome {
	typ := uint64(r.IntN(simTypes))
	req := l.world.begin(typ, make([]byte, r.IntN(l.plan.large)))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if typ == simWaits || typ == simStubborn || chance(r, 3) {
		req.deadline = upTo(r, l.plan.deadlines)
		ctx, cancel = context.WithTimeout(ctx, req.deadline)
		defer cancel()
	}
	req.client = side == 0 && l.client != nil
	req.repeats = req.client && chance(r, 2)
	form := r.IntN(3)
	l.world.counts.add("form " + []string{"call", "submit", "cancel"}[form])
	if form == 0 {
		resp, err := caller.Call(ctx, req.request())
		return l.settle(req, resp, err)
	}
	call, err := caller.Submit(ctx, req.request())
	if err != nil {
		return l.settle(req, Response{}, err)
	}
	if form == 2 {
		l.world.sleep(upTo(r, time.Second))
		req.canceled.Store(true)
		call.Cancel()
	}
	resp, err := call.Wait(context.Background())
	return l.settle(req, resp, err)
}

// call is a request of a handler.
func (l *simLink) call(ctx context.Context, caller simCaller, typ uint64, payload []byte) (Response, error) {
	req := l.world.begin(typ, payload)
	req.canceled.Store(true) // by the connection's end, which ends ctx
	resp, err := caller.Call(ctx, req.request())
	l.settle(req, resp, err)
	return resp, err
}

// runs books that a handler has begun, and returns the request's number.
func (w *simWorld) runs(l *simLink, req *Request) uint64 {
	id := simID(req.Payload)
	w.mu.Lock()
	r := w.requests[id]
	w.mu.Unlock()
	switch {
	case l.corrupt.Load():
	case r == nil:
		w.errorf("request %d was never made", id)
	case r.typ != req.Type || req.Flags != id%1000 || !bytes.Equal(r.payload, req.Payload):
		w.errorf("request %d came changed: type %d, flags %d, %d bytes", id, req.Type, req.Flags, len(req.Payload))
	case r.runs.Add(1) > 1 && !r.repeats:
		w.errorf("request %d, type %s, is handled twice", id, simTypeNames[r.typ])
	}
	return id
}

// settle books an outcome and checks what can be checked at once.
func (l *simLink) settle(r *simRequest, resp Response, err error) Outcome {
	w := l.world
	if r.outcomes.Add(1) > 1 {
		w.errorf("request %d has a second outcome: %v", r.id, err)
		return r.outcome
	}
	e := (*Error)(nil)
	r.outcome = OutcomeOK
	if err != nil {
		if !errors.As(err, &e) {
			w.errorf("request %d: not an *Error: %v", r.id, err)
			return r.outcome
		}
		r.outcome = e.Outcome
	}
	w.counts.add("outcome " + r.outcome.String())
	took := time.Since(r.begun)
	if r.deadline > 0 && took > r.deadline && !r.canceled.Load() {
		w.errorf("request %d has its outcome %v after %v, the deadline was %v", r.id, r.outcome, took, r.deadline)
	}
	if l.corrupt.Load() {
		return r.outcome
	}
	if why := l.wrong(r, resp, e, took); why != "" {
		w.errorf("request %d, type %s, %d times handled: %s: %v", r.id, simTypeNames[r.typ], r.runs.Load(), why, err)
	}
	return r.outcome
}

// wrong says what is wrong with an outcome, or nothing.
func (l *simLink) wrong(r *simRequest, resp Response, e *Error, took time.Duration) string {
	if e != nil && !e.Sent && !e.Remote && r.runs.Load() > 0 {
		return "it is said not to have been sent"
	}
	switch r.outcome {
	case OutcomeOK:
		want := r.payload
		if r.typ == simLarge {
			want = simResponse(r.id, l.plan.large)
		}
		if r.runs.Load() == 0 || !bytes.Equal(resp.Payload, want) || (resp.Flags != r.id%100 && r.typ != simAsks) {
			return "not its answer"
		}
	case OutcomeRejected:
		return r.wrongRejection(string(e.Payload), e.Flags, took)
	case OutcomeCanceled:
		if !r.canceled.Load() {
			return "nobody has given it up"
		}
	case OutcomeDeadline:
		if took != r.deadline && !r.canceled.Load() { // else it was looked at later
			return "not at its deadline"
		}
	case OutcomeLost:
		if !l.mayLose(r) {
			return "nothing has broken"
		}
	case OutcomeRefused:
		if !l.mayLose(r) {
			return "nobody has ended"
		}
	}
	return ""
}

// mayLose says whether a request's connection may have ended before its time: by
// faults, by the limits of its options, because there is no memory, or because the
// client at its other end did not use it.
func (l *simLink) mayLose(r *simRequest) bool {
	for _, o := range l.plan.options {
		if o.IdleTimeout > 0 || o.MaxAge > 0 {
			return true
		}
	}
	return (l.client != nil && !r.client) || l.broken.Load() || ended(l.world.over) || l.world.budget != nil
}

func (r *simRequest) wrongRejection(text string, flags uint64, took time.Duration) string {
	// The peer's clock may be the first, in the very moment. (Who has canceled looks later.)
	if text == errTooLate.Error() && (took == r.deadline || took > r.deadline && r.canceled.Load()) || text == errGivenUp.Error() && r.canceled.Load() {
		return ""
	}
	if runs := r.runs.Load(); runs == 0 || r.repeats {
		if strings.HasPrefix(text, "busy") || text == textRequestsEnded {
			return ""
		}
		if runs == 0 {
			return "rejected before it was handled"
		}
	}
	switch r.typ {
	case simDeclines:
		if flags != r.id%100 || text != string(r.payload) {
			return "not its rejection"
		}
	case simPanics, simWaits, simSlow, simAsks:
		if text != textFailed {
			return "not the text of a failure"
		}
	default:
		return "rejected by a handler that answers"
	}
	return ""
}
