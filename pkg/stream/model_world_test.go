package stream

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// modelMu guards what handlers and observers share with the program, of which
// one runs at a time.
var modelMu sync.Mutex

func (m *model) lock(f func()) {
	modelMu.Lock()
	defer modelMu.Unlock()
	f()
}

func (m *model) hold(s *modelSide, h *modelHeld) { m.lock(func() { s.held = append(s.held, h) }) }

// modelOperation is one step of a program.
type modelOperation struct {
	name string
	do   func(m *model, s *modelSide) // s is drawn
}

// GoString makes the listing of a program that fails readable.
func (op modelOperation) GoString() string { return op.name }

func (m *model) do(op modelOperation) {
	op.do(m, rapid.SampledFrom(m.sides[:]).Draw(m.rt, "side"))
	time.Sleep(2 * quietTick) // in which a handler that waits loses the role of the reader
	synctest.Wait()
	m.counts.operations++
	m.lock(func() { m.counts.by["operation "+op.name]++ })
	m.check()
}

// modelBody are the operations of which programs mostly consist; the more often
// one is named the more often it is drawn.
var modelBody = slices.Concat(
	slices.Repeat([]modelOperation{{"submit", (*model).submit}}, 12),
	slices.Repeat([]modelOperation{{"call", (*model).callBlocking}}, 3),
	slices.Repeat([]modelOperation{{"go", (*model).goCall}}, 3),
	slices.Repeat([]modelOperation{{"answer", (*model).answerOK}}, 10),
	slices.Repeat([]modelOperation{{"reject", (*model).answerNot}}, 4),
	slices.Repeat([]modelOperation{{"cancel", (*model).cancel}}, 3),
	slices.Repeat([]modelOperation{{"submit with deadline", (*model).submitDeadline}}, 3),
	[]modelOperation{
		{"submit too late", (*model).submitExpired},
		{"submit nowhere", (*model).submitNowhere},
		{"advance", (*model).advance},
		{"unknown response", (*model).unknownResponse},
		{"end requests", (*model).endRequests},
	},
)

// modelEnds are those after which nothing is as before.
var modelEnds = []modelOperation{
	{"shut both down", (*model).shutBothDown},
	{"shut one down", (*model).shutOneDown},
	{"shut down in no time", (*model).shutDownInNoTime},
	{"end sending", (*model).endSending},
	{"close", (*model).closeConn},
	{"hang up", (*model).hangUp},
	{"break reading", (*model).breakReading},
	{"break writing", (*model).breakWriting},
	{"malformed", (*model).malformed},
	{"oversize", (*model).oversize},
	{"another protocol", (*model).foreign},
	{"half a packet, hang up", (*model).truncated},
	{"half a packet, wait", (*model).slowSender},
	{"stop reading", (*model).slowConsumer},
	{"flood", (*model).flood},
	{"grow old", (*model).growOld},
}

func (m *model) newRequest(s *modelSide) (*modelRequest, Request) {
	m.lastID++
	r := &modelRequest{id: m.lastID}
	if rapid.IntRange(0, 3).Draw(m.rt, "channel") == 0 {
		r.channel = modelChannel
	}
	m.requests[r.id] = r
	s.asked = append(s.asked, r)
	m.counts.requests++
	return r, Request{Type: r.id, Channel: r.channel, Payload: modelPayload(r.id)}
}

func (m *model) submit(s *modelSide) { m.submitWith(s, context.Background()) }

func (m *model) submitWith(s *modelSide, ctx context.Context) *modelRequest {
	r, req := m.newRequest(s)
	call, err := s.conn.Submit(ctx, req)
	if err != nil {
		r.settle(m, Response{}, err)
		return r
	}
	r.call = call
	return r
}

func (m *model) submitDeadline(s *modelSide) {
	after := time.Duration(rapid.IntRange(1, 4).Draw(m.rt, "seconds")) * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), after)
	r := m.submitWith(s, ctx)
	r.deadline = time.Now().Add(after)
	context.AfterFunc(ctx, cancel) // lets go of the timer
}

func (m *model) submitExpired(s *modelSide) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	m.submitWith(s, ctx).canceled = true
}

func (m *model) submitNowhere(s *modelSide) {
	r, req := m.newRequest(s)
	req.Channel = 77
	_, err := s.conn.Submit(context.Background(), req)
	r.settle(m, Response{}, err)
	if r.outcome != OutcomeRefused {
		m.rt.Fatalf("a request on a channel that is not open: %v", err)
	}
}

func (m *model) callBlocking(s *modelSide) {
	r, req := m.newRequest(s)
	r.result = make(chan modelResult, 1)
	m.running++
	go func() {
		resp, err := s.conn.Call(context.Background(), req)
		resp.Payload = bytes.Clone(resp.Payload)
		r.result <- modelResult{resp, err}
	}()
}

func (m *model) goCall(s *modelSide) {
	r, req := m.newRequest(s)
	r.result = make(chan modelResult, 2) // a second one would be a fault, seen at the end
	s.conn.Go(context.Background(), req, func(resp Response, err error) {
		resp.Payload = bytes.Clone(resp.Payload)
		r.result <- modelResult{resp, err}
	})
}

// takeHeld picks a handler that waits.
func (m *model) takeHeld(s *modelSide) (h *modelHeld) {
	m.lock(func() {
		if len(s.held) == 0 {
			return
		}
		i := 0
		if len(s.held) > 1 {
			i = rapid.IntRange(0, len(s.held)-1).Draw(m.rt, "which")
		}
		h = s.held[i]
		s.held = slices.Delete(s.held, i, i+1)
	})
	return h
}

func (m *model) answerWith(s *modelSide, kind string) {
	h := m.takeHeld(s)
	if h == nil {
		return
	}
	a := modelAnswer{kind: kind, resp: Response{Flags: h.id % 1000, Payload: append([]byte("answer to "), modelPayload(h.id)...)}}
	r := m.requests[h.id]
	if r.answered {
		m.rt.Fatalf("request %d was handled twice", h.id)
	}
	r.answered, r.answer = true, a
	h.reply <- a
}

func (m *model) answerOK(s *modelSide) { m.answerWith(s, "ok") }

func (m *model) answerNot(s *modelSide) {
	m.answerWith(s, rapid.SampledFrom([]string{"declined", "error", "panic", "large"}).Draw(m.rt, "kind"))
}

func (m *model) cancel(s *modelSide) {
	var open []*modelRequest
	for _, r := range s.asked {
		if r.call != nil && r.outcome == OutcomePending {
			open = append(open, r)
		}
	}
	if len(open) == 0 {
		return
	}
	r := open[rapid.IntRange(0, len(open)-1).Draw(m.rt, "which")]
	r.canceled = true
	r.call.Cancel()
}

func (m *model) advance(*modelSide) {
	time.Sleep(time.Duration(rapid.IntRange(1, 3000).Draw(m.rt, "milliseconds")) * time.Millisecond)
}

func (m *model) unknownResponse(s *modelSide) {
	s.reads(wire(Packet{Kind: KindResponse, OK: true, Tag: 1 << 50, Payload: []byte("to nothing")}))
}

// endRequests is rare in programs that go on.
func (m *model) endRequests(s *modelSide) {
	if rapid.IntRange(0, 9).Draw(m.rt, "really") > 0 {
		return
	}
	s.ending = true
	s.conn.EndRequests()
}

// settle notes an outcome, which may not change any more.
func (r *modelRequest) settle(m *model, resp Response, err error) {
	if r.outcome != OutcomePending {
		m.rt.Fatalf("request %d has a second outcome: %v", r.id, err)
	}
	r.response, r.err, r.outcome = resp, err, OutcomeOK
	if err != nil {
		e := (*Error)(nil)
		if !errors.As(err, &e) {
			m.rt.Fatalf("request %d: not an *Error: %v", r.id, err)
		}
		r.outcome = e.Outcome
	}
}

// check compares everything with the model. All is quiet.
func (m *model) check() {
	for _, s := range m.sides {
		for _, r := range s.asked {
			m.checkRequest(s, r)
		}
		m.checkSide(s)
	}
}

func (m *model) checkRequest(s *modelSide, r *modelRequest) {
	if r.outcome == OutcomePending {
		switch {
		case r.call != nil && ended(r.call.Done()):
			resp, err := r.call.Wait(context.Background())
			r.settle(m, resp, err)
		case len(r.result) > 0:
			result := <-r.result
			r.settle(m, result.resp, result.err)
		default:
			m.checkPending(s, r)
			return
		}
		m.checkOutcome(s, r)
	} else if len(r.result) > 0 {
		m.rt.Fatalf("request %d is reported twice: %+v", r.id, <-r.result)
	}
	m.lock(func() {
		if n := s.settled[r.id]; n != 1 {
			m.rt.Fatalf("request %d, %v: %d ends were observed", r.id, r.outcome, n)
		}
	})
}

// checkPending says whether a request may still have no outcome.
func (m *model) checkPending(s *modelSide, r *modelRequest) {
	switch {
	case ended(s.conn.Received()) || ended(s.conn.Done()):
		m.rt.Fatalf("request %d of %s has no outcome, though its connection has ended", r.id, s.name)
	case r.canceled:
		m.rt.Fatalf("request %d was given up and has no outcome", r.id)
	case !r.deadline.IsZero() && time.Now().After(r.deadline):
		m.rt.Fatalf("request %d has no outcome after its deadline", r.id)
	case r.answered && !m.broken && !s.conn.Stats().Paused && !s.peer.conn.Stats().Paused:
		m.rt.Fatalf("request %d was answered, but %s does not know", r.id, s.name)
	}
}

// checkOutcome says whether a request may have the outcome that it has.
func (m *model) checkOutcome(s *modelSide, r *modelRequest) {
	e := (*Error)(nil)
	_ = errors.As(r.err, &e)
	ok := false
	switch r.outcome {
	case OutcomeOK:
		ok = r.answered && r.answer.kind == "ok" && r.response.Flags == r.answer.resp.Flags &&
			bytes.Equal(r.response.Payload, r.answer.resp.Payload)
	case OutcomeRejected:
		text := string(e.Payload)
		switch {
		case !r.answered: // before a handler ran
			ok = strings.HasPrefix(text, "busy") || (text == textRequestsEnded && (m.over || s.ending || s.peer.ending))
		case r.answer.kind == "declined":
			ok = e.Flags == r.answer.resp.Flags && bytes.Equal(e.Payload, r.answer.resp.Payload)
		default:
			ok = r.answer.kind != "ok" && text == textFailed
		}
	case OutcomeCanceled:
		ok = r.canceled
	case OutcomeDeadline:
		ok = !r.deadline.IsZero() && !time.Now().Before(r.deadline)
	case OutcomeLost:
		ok = ended(s.conn.Received()) || ended(s.conn.Done())
	case OutcomeRefused:
		ok = s.ending || m.over || r.call == nil && r.err != nil
	}
	if !ok {
		m.rt.Fatalf("request %d of %s may not end like this: %v %v, answered %+v", r.id, s.name, r.outcome, r.err, r.answer)
	}
}

// checkSide compares a connection's levels.
func (m *model) checkSide(s *modelSide) {
	pending := 0
	for _, r := range s.asked {
		if r.outcome == OutcomePending {
			pending++
		}
	}
	stats := s.conn.Stats()
	if stats.InFlight < pending {
		m.rt.Fatalf("%s has %d requests in flight, but %d without outcome", s.name, stats.InFlight, pending)
	}
	if !ended(s.conn.Done()) {
		var held int
		m.lock(func() { held = len(s.held) })
		if stats.Serving != held || stats.Queued+stats.Serving > s.conn.opts.MaxQueued+s.conn.opts.MaxHandlers {
			m.rt.Fatalf("%s serves %d, the model %d; %+v", s.name, stats.Serving, held, stats)
		}
		if stats.Queued > 0 && stats.Serving < s.conn.opts.MaxHandlers {
			m.rt.Fatalf("%s lets requests wait beside free handlers: %+v", s.name, stats)
		}
	}
}
