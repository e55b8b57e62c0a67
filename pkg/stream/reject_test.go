package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func on(channel uint64, p Packet) Packet {
	p.Channel = channel
	return p
}

// The checks of the specification's section 6, in their order: where several
// fail, the first one answers.
func TestChecksOfARequest(t *testing.T) {
	busy := ask(2, 1, "") // its handler is held
	for _, tt := range []struct {
		name      string
		noHandler bool
		channels  map[uint64]Handler
		draining  bool
		before    []Packet
		request   Packet
		answer    Packet
		reason    RejectReason
	}{
		{
			name: "no handler, before ERQ and an unknown channel", noHandler: true,
			before: []Packet{packetEndRequests}, request: on(5, ask(2, 0, "")),
			answer: on(5, notOK(2, "no request handler")), reason: RejectNoHandler,
		},
		{
			name: "ERQ, before an unknown channel", before: []Packet{packetEndRequests},
			request: on(5, ask(2, 0, "")), answer: on(5, notOK(2, "requests no longer allowed")), reason: RejectRequestsEnded,
		},
		{
			name: "ERQ, before a tag in use", before: []Packet{busy, packetEndRequests, packetEndRequests},
			request: ask(2, 0, ""), answer: notOK(2, "requests no longer allowed"), reason: RejectRequestsEnded,
		},
		{
			name: "ERQ, before a channel without a handler", channels: map[uint64]Handler{7: nil},
			before: []Packet{packetEndRequests}, request: on(7, ask(2, 0, "")),
			answer: on(7, notOK(2, "requests no longer allowed")), reason: RejectRequestsEnded,
		},
		{
			name: "the end of serving at shutdown", draining: true, before: []Packet{busy},
			request: ask(3, 0, ""), answer: notOK(3, "requests no longer allowed"), reason: RejectRequestsEnded,
		},
		{
			name: "unknown channel, though the tag is in use on another", before: []Packet{busy},
			request: on(5, ask(2, 0, "")), answer: on(5, notOK(2, "unknown channel 5")), reason: RejectUnknownChannel,
		},
		{
			name: "a large unknown channel", request: on(1<<64-1, ask(1<<64-1, 1<<64-2, "x")),
			answer: on(1<<64-1, notOK(1<<64-1, "unknown channel 18446744073709551615")), reason: RejectUnknownChannel,
		},
		{
			name: "a reserved channel", request: on(112, ask(2, 0, "")),
			answer: on(112, notOK(2, "unknown channel 112")), reason: RejectUnknownChannel,
		},
		{
			name: "an open channel without a handler", channels: map[uint64]Handler{7: nil},
			request: on(7, ask(2, 0, "")), answer: on(7, notOK(2, "no request handler")), reason: RejectNoHandler,
		},
		{
			name: "only other channels have handlers", noHandler: true, channels: map[uint64]Handler{7: echo},
			request: ask(2, 0, ""), answer: notOK(2, "no request handler"), reason: RejectNoHandler,
		},
		{
			name: "tag in use", before: []Packet{busy},
			request: ask(2, 0, ""), answer: notOK(2, "channel 0: tag already in use: 2"), reason: RejectTagInUse,
		},
	} {
		bubble(t, tt.name, func(t *testing.T) {
			h, release := held()
			seen := tap(EventRequestRejected)
			o := Options{Handler: h, Channels: tt.channels, Observer: seen, DrainTimeout: time.Second}
			if tt.noHandler {
				o.Handler = nil
			}
			c, p := scripted(t, o)
			if len(tt.before) > 0 {
				p.send(tt.before...)
			}
			synctest.Wait()
			if tt.draining {
				c.EndSending()
				time.Sleep(2 * time.Second)
			}
			// Twice with the same tag: a rejection neither marks nor frees it.
			for range 2 {
				p.send(tt.request)
				synctest.Wait()
				p.wants(tt.answer)
				if e := seen.next(deadline(t), t, EventRequestRejected); e.Rejection != tt.reason || !e.Packet.Equal(tt.request) {
					t.Errorf("observed %v: %v, want %v", e.Packet, e.Rejection, tt.reason)
				}
			}
			if len(tt.before) > 0 && tt.before[0].Kind == KindRequest {
				release <- struct{}{} // the first one is not disturbed
				synctest.Wait()
				if tt.draining {
					p.wants(ok(2, "done"), packetEndRequests, packetEOF)
				} else {
					p.wants(ok(2, "done"))
				}
			}
			ended := tt.noHandler || tt.draining || tt.reason == RejectRequestsEnded
			if !ended { // it goes on, with the same tag
				p.send(ask(tt.request.Tag, 0, "after"))
				synctest.Wait()
				p.wants(ok(tt.request.Tag, "after"))
			}
			if s := c.Stats(); s.QueuedBytes != 0 || s.Serving != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

type result struct {
	name   string
	serve  func() (Response, error)
	answer Packet // without its tag
	reason RejectReason
}

// Every result that a handler can have, with its answer (section 7).
var results = []result{
	{"nothing", func() (Response, error) { return Response{}, nil }, ok(0, ""), RejectNone},
	{"flags", func() (Response, error) { return Response{Flags: 0x2b}, nil }, Packet{Flags: 0x2b, OK: true}, RejectNone},
	{"the largest flags", func() (Response, error) { return Response{Flags: 1<<61 - 1}, nil }, Packet{Flags: 1<<61 - 1, OK: true}, RejectNone},
	{"bytes", func() (Response, error) { return Response{Payload: []byte{0, 0xff}}, nil }, ok(0, "\x00\xff"), RejectNone},
	{"text", func() (Response, error) { return Text("héllo ✓ 😀"), nil }, ok(0, "héllo ✓ 😀"), RejectNone},
	{"text with surrogates", func() (Response, error) { return Text("a\xed\xa0\x80b\xed\xbf\xbf"), nil }, ok(0, "a&#55296;b&#57343;"), RejectNone},
	{"text that is no UTF-8", func() (Response, error) { return Text("a\xffb\xed"), nil }, ok(0, "a�b�"), RejectNone},
	{"flags and bytes", func() (Response, error) { return Response{Flags: 3, Payload: []byte("xy")}, nil }, Packet{Flags: 3, OK: true, Payload: []byte("xy")}, RejectNone},

	{"error", func() (Response, error) { return Response{Flags: 1, Payload: []byte("secret")}, errors.New("secret") }, failed, RejectHandler},
	{"Reject", func() (Response, error) { return Response{}, Reject("no %d", 5) }, notOK(0, "no 5"), RejectDeclined},
	{"wrapped rejection", func() (Response, error) {
		return Response{}, fmt.Errorf("secret: %w", &Rejection{Flags: 1<<61 - 1, Payload: []byte("p")})
	}, Packet{Flags: 1<<61 - 1, Payload: []byte("p")}, RejectDeclined},
	{"empty rejection", func() (Response, error) { return Response{}, &Rejection{} }, notOK(0, ""), RejectDeclined},
	{"nil rejection", func() (Response, error) { return Response{}, (*Rejection)(nil) }, failed, RejectPanic},
	{"wrapped nil rejection", func() (Response, error) { return Response{}, fmt.Errorf("secret: %w", (*Rejection)(nil)) }, failed, RejectHandler},
	{"nil error of another type", func() (Response, error) { return Response{}, (*Error)(nil) }, failed, RejectPanic},
	{"wrapped nil error", func() (Response, error) { return Response{}, fmt.Errorf("secret: %w", (*Error)(nil)) }, failed, RejectPanic},
	{"context's end", func() (Response, error) { return Response{}, context.Canceled }, failed, RejectHandler},
	{"another call's error", func() (Response, error) {
		return Response{}, &Error{Outcome: OutcomeRejected, Payload: []byte("secret")}
	}, failed, RejectHandler},

	{"panic", func() (Response, error) { panic("secret") }, failed, RejectPanic},
	{"panic with nil", func() (Response, error) { panic(nil) }, failed, RejectPanic},
	{"runtime error", func() (Response, error) { var m map[int]int; m[1] = 1; return Response{}, nil }, failed, RejectPanic}, //nolint:staticcheck // it panics on purpose
	{"Goexit", func() (Response, error) { runtime.Goexit(); return Response{}, nil }, failed, RejectHandler},

	{"flags too large", func() (Response, error) { return Response{Flags: 1 << 61}, nil }, failed, RejectResult},
	{"payload too large", func() (Response, error) { return Response{Payload: make([]byte, 1<<10)}, nil }, failed, RejectResult},
	{"rejection's flags too large", func() (Response, error) { return Response{}, &Rejection{Flags: 1 << 61} }, failed, RejectResult},
	{"rejection's payload too large", func() (Response, error) { return Response{}, &Rejection{Payload: make([]byte, 1<<10)} }, failed, RejectResult},
}

var failed = notOK(0, "exception during handler")

// How the same handler may be called: in a goroutine, inline, and where few may
// run at a time.
func TestResultsOfHandlers(t *testing.T) {
	serve := HandlerFunc(func(_ context.Context, req Request) (Response, error) {
		return results[req.Type].serve()
	})
	plainMux, inlineMux := new(Mux), new(Mux)
	for i, r := range results {
		plainMux.Handle(uint64(i), r.name, serve)
		inlineMux.Inline(uint64(i), r.name, serve)
	}
	method := Method[string, struct{}]{Type: 1000, Name: "Typed", Request: Codec[string]{
		Parse: func(uint64, []byte) (string, error) { return "", errors.New("secret") },
	}}
	for way, h := range map[string]Handler{"function": serve, "mux": plainMux, "inline": inlineMux} {
		bubble(t, way, func(t *testing.T) {
			seen := tap(EventRequestDone, EventRequestRejected)
			c, p := scripted(t, Options{Handler: h, Observer: seen, MaxHandlers: 1, MaxPacket: 1 << 10})
			// All with the same tag, which is accepted again once it is answered.
			check := func(name string, typ uint64, answer Packet, reason RejectReason) {
				t.Helper()
				p.send(ask(9, typ, "request"))
				synctest.Wait()
				answer.Kind, answer.Tag = KindResponse, 9
				p.wants(answer)
				e := seen.next(deadline(t), t, EventRequestDone)
				want := OutcomeOK
				if !answer.OK {
					want = OutcomeRejected
				}
				if e.Rejection != reason || e.Outcome != want || (e.Err == nil) != answer.OK || e.Size != len(answer.Payload) {
					t.Errorf("%s: observed %v, %v, %v, %d bytes", name, e.Outcome, e.Rejection, e.Err, e.Size)
				}
				if pe := (*PanicError)(nil); reason == RejectPanic && (!errors.As(e.Err, &pe) || !bytes.Contains(pe.Stack, []byte("goroutine"))) {
					t.Errorf("%s: no stack in %v", name, e.Err)
				}
			}
			for i, r := range results {
				check(r.name, uint64(i), r.answer, r.reason)
			}
			if mux, isMux := h.(*Mux); isMux {
				method.Handle(mux, func(context.Context, string) (struct{}, error) { panic("it was not decoded") })
				check("undecodable", method.Type, failed, RejectUndecodable)
				check("unknown type", method.Type+1, failed, RejectUnknownType)
			}
			if s := c.Stats(); s.Serving != 0 || s.Queued != 0 || s.QueuedBytes != 0 || s.RequestsReceived != s.ResponsesSent {
				t.Errorf("%+v", s)
			}
			down := later(func() error { return c.Shutdown(deadline(t)) })
			p.send(packetEOF)
			if err := <-down; err != nil {
				t.Error(err)
			}
		})
	}
}

// What does not fit the protocol is refused where it is made, and nothing of it
// is sent.
func TestRefusedOnThisSide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := scripted(t, Options{MaxPacket: 100, Channels: map[uint64]Handler{7: nil}})
		for want, req := range map[string]Request{
			"request flags":       {Flags: 1 << 62},
			"request type":        {Type: 1<<64 - 1},
			"over Options.MaxPac": {Payload: make([]byte, 98)},
			"unknown channel 5":   {Channel: 5},
			"112 is reserved":     {Channel: 112},
			"127 is reserved":     {Channel: 127, Label: "mine"},
		} {
			_, err := c.Submit(t.Context(), req)
			e := (*Error)(nil)
			if outcomeOf(t, err) != OutcomeRefused || !errors.As(err, &e) || e.Remote || e.Sent || e.Channel != req.Channel || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want refused: %s", err, want)
			}
		}
		synctest.Wait()
		p.wants()
		largest := []Request{{Flags: 1<<62 - 1}, {Type: 1<<64 - 2}, {Payload: make([]byte, 97)}, {Channel: 7}}
		for i, req := range largest {
			if _, err := c.Submit(t.Context(), req); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			tag := uint64(2 + i)
			if req.Channel == 7 {
				tag = 2 // each channel numbers its own
			}
			p.wants(Packet{Channel: req.Channel, Tag: tag, Flags: req.Flags, Type: req.Type, Payload: req.Payload})
		}
	})
	for _, channel := range []uint64{0, 112, 120, 127} {
		if _, err := NewConn(Join(nil, nil), Options{Channels: map[uint64]Handler{channel: echo}}); err == nil {
			t.Errorf("channel %d was opened", channel)
		}
	}
}

// Channels other than 0 carry requests both ways, apart from each other.
func TestOtherChannels(t *testing.T) {
	named := func(name string) Handler {
		return HandlerFunc(func(_ context.Context, req Request) (Response, error) {
			return Text(fmt.Sprintf("%s, channel %d, tag %d: %s", name, req.Channel, req.Tag, req.Payload)), nil
		})
	}
	ctx := deadline(t)
	channels := []uint64{0, 1, 7, 111, 128, 1 << 40, 1<<64 - 1}
	options := func(side string) Options {
		o := Options{Handler: named(side + "0"), Channels: map[uint64]Handler{}}
		for _, ch := range channels[1:] {
			o.Channels[ch] = named(fmt.Sprint(side, ch))
		}
		return o
	}
	a, b := connected(t, "unix", options("a"), options("b"))
	for tag := range uint64(3) {
		for side, c := range map[string]*Conn{"b": a, "a": b} { // who answers
			for _, ch := range channels {
				resp, err := c.Call(ctx, Request{Channel: ch, Payload: []byte("hi")})
				if want := fmt.Sprintf("%s%d, channel %d, tag %d: hi", side, ch, ch, tag+2); err != nil || string(resp.Payload) != want {
					t.Errorf("%q, %v; want %q", resp.Payload, err, want)
				}
			}
		}
	}
}
