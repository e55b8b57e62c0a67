package stream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// conversation is a recording of the Python package talking to itself.
type conversation struct {
	Streams map[string]string `json:"streams"` // hex, by direction: c2s, s2c
	Packets []struct {
		Dir    string `json:"dir"`
		Offset int    `json:"offset"`
		Length int    `json:"length"`
	} `json:"packets"`
}

// roles says how our engine can take the place of either side of a recording.
type roles struct {
	client, server Handler // the handler of that side; nil: it has none
	only           string  // "client" or "server" where the other side did what no engine does
	callsBack      bool    // the server's requests are made by its handler
	whole          bool    // one packet was awaited after the other: byte for byte the same again
}

func reversed(b []byte) []byte {
	b = bytes.Clone(b)
	slices.Reverse(b)
	return b
}

// plain makes a handler of a function that cannot fail.
func plain(f func(Request) Response) Handler {
	return HandlerFunc(func(_ context.Context, req Request) (Response, error) { return f(req), nil })
}

var reverse = plain(func(req Request) Response { return Response{Flags: 0x11, Payload: reversed(req.Payload)} })

// recordings are all that there are, with what the application did on each side.
func recordings(release <-chan struct{}) map[string]roles {
	results := []Response{
		{}, {}, {Flags: 1}, {Flags: 0x2b}, {Flags: 1 << 40}, {Payload: []byte{}}, {Payload: []byte{0, 0xff, 0x10}},
		Text(""), Text("plain"), Text("héllo ✓ 😀"), {Flags: 0}, {Flags: 3, Payload: []byte("xy")},
		{Flags: 0x11}, {Flags: 1}, {Flags: 0},
	}
	for i := range 300 {
		results[12].Payload = append(results[12].Payload, byte(i))
	}
	return map[string]roles{
		"immediate-close":     {server: reverse, whole: true},
		"one-call":            {server: reverse, whole: true},
		"half-duplex-16":      {server: reverse, whole: true},
		"server-closes-first": {server: reverse, whole: true},
		"payload-20000":       {server: echo, whole: true},
		"no-handler":          {},
		"after-erq":           {server: echo, only: "server", whole: true},
		"unknown-channel-5":   {server: echo, only: "server"},
		"tag-in-use": {only: "server", server: HandlerFunc(func(ctx context.Context, req Request) (Response, error) {
			if req.Type == 1 {
				<-release
			}
			return echo(ctx, req)
		})},
		"eof-with-requests-pending": {only: "client", whole: true},
		"handler-returns":           {whole: true, server: plain(func(req Request) Response { return results[req.Type] })},
		"handler-raises": {whole: true, server: HandlerFunc(func(ctx context.Context, req Request) (Response, error) {
			if req.Type == 4 {
				return Response{Payload: req.Payload}, nil
			}
			return Response{}, errors.New("raised")
		})},
		"pipelined-200": {server: plain(func(req Request) Response {
			return Response{Flags: req.Flags ^ 0x2a5, Payload: reversed(req.Payload)}
		})},
		"bidirectional": {
			client: plain(func(req Request) Response {
				return Response{Flags: req.Flags + 1, Payload: append([]byte("A:"), req.Payload...)}
			}),
			server: plain(func(req Request) Response {
				return Response{Flags: req.Flags + 2, Payload: append([]byte("B:"), reversed(req.Payload)...)}
			}),
		},
		"callback": {
			callsBack: true, whole: true,
			client: plain(func(req Request) Response {
				return Response{Flags: req.Flags + 1, Payload: bytes.ToUpper(req.Payload)}
			}),
			server: HandlerFunc(func(ctx context.Context, req Request) (Response, error) {
				return req.Conn.Call(ctx, Request{Flags: req.Flags, Payload: append([]byte("cb:"), req.Payload...)})
			}),
		},
	}
}

func TestConversations(t *testing.T) {
	files, err := filepath.Glob("testdata/conversations/*.json")
	if err != nil || len(files) < 15 {
		t.Fatalf("%d recordings, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var c conversation
		if err := json.Unmarshal(text, &c); err != nil {
			t.Fatal(err)
		}
		release := make(chan struct{})
		r, known := recordings(release)[name]
		if !known {
			t.Errorf("nobody plays the recording %s", name)
			continue
		}
		for _, side := range []string{"client", "server"} {
			if r.only == "" || r.only == side {
				t.Run(name+" as "+side, func(t *testing.T) { play(t, name, c, r, side, release) })
			}
		}
	}
}

// player holds the far end of our engine's stream: it sends what was recorded of
// the other side and collects what the engine sends.
type player struct {
	t    *testing.T
	name string
	far  net.Conn
	sent chan Packet  // by the engine
	wire bytes.Buffer // the same as bytes; to be read when sent is closed
	seen []Packet     // taken from sent, not yet asked for
}

// expect waits until the engine has sent a packet with the kind, channel and tag
// of p, and compares it.
func (pl *player) expect(p Packet) {
	pl.t.Helper()
	match := func(q Packet) bool { return q.Kind == p.Kind && q.Channel == p.Channel && q.Tag == p.Tag }
	i := slices.IndexFunc(pl.seen, match)
	for i < 0 {
		select {
		case q := <-pl.sent:
			pl.seen = append(pl.seen, q)
			if match(q) {
				i = len(pl.seen) - 1
			}
		case <-time.After(20 * time.Second):
			pl.t.Fatalf("never sent: %v", p)
		}
	}
	q := pl.seen[i]
	pl.seen = slices.Delete(pl.seen, i, i+1)
	if pl.name == "unknown-channel-5" && q.Kind == KindResponse && q.Channel == 5 {
		p.Payload = fmt.Appendf(nil, "unknown channel %d", q.Channel) // the recording lacks the number
	}
	if !q.Equal(p) {
		pl.t.Errorf("sent %v %q, recorded was %v %q", q, q.Payload, p, p.Payload)
	}
}

func play(t *testing.T, name string, c conversation, r roles, side string, release chan struct{}) {
	near, far := net.Pipe()
	pl := &player{t: t, name: name, far: far, sent: make(chan Packet, 1000)}
	go func() {
		defer close(pl.sent)
		for d := NewDecoder(io.TeeReader(far, &pl.wire)); ; {
			p, _, err := d.Decode()
			if err != nil {
				return
			}
			p.Payload = bytes.Clone(p.Payload)
			pl.sent <- p
		}
	}()
	defer far.Close()
	ours, handler := "c2s", r.client
	if side == "server" {
		ours, handler = "s2c", r.server
	}
	conn := mustConn(t, near, Options{Handler: handler})
	streams := map[string][]byte{}
	for dir, text := range c.Streams {
		streams[dir] = unhex(t, text)
	}

	ctx := deadline(t)
	calls := map[uint64]*Call{}
	answers := map[uint64]Packet{} // recorded, to our calls
	ending := false
	for _, recorded := range c.Packets {
		wire := streams[recorded.Dir][recorded.Offset : recorded.Offset+recorded.Length]
		p, n, _, err := ParsePacket(wire, 0)
		if err != nil || n != len(wire) {
			t.Fatalf("%x: %v", wire, err)
		}
		if recorded.Dir != ours {
			if p.Kind == KindResponse {
				answers[p.Tag] = p
			}
			if _, err := far.Write(wire); err != nil {
				t.Fatal(err)
			}
			continue
		}
		switch {
		case p.Kind == KindRequest && (!r.callsBack || side == "client"):
			call, err := conn.Submit(ctx, Request{Type: p.Type, Flags: p.Flags, Payload: p.Payload})
			if err != nil {
				t.Fatal(err)
			}
			calls[call.Tag()] = call
		case (p.Kind == KindEOF || p.Kind == KindEndRequests) && !ending:
			ending = true
			go conn.Shutdown(ctx)
		}
		pl.expect(p)
		if name == "tag-in-use" && p.Kind == KindResponse && p.Tag == 2 {
			// The reference never answers the first request with the tag. We do.
			close(release)
			pl.expect(Packet{Kind: KindResponse, OK: true, Tag: 2, Flags: 1, Payload: []byte("first")})
		}
	}
	for tag, call := range calls {
		resp, err := call.Wait(ctx)
		answer, answered := answers[tag]
		e := (*Error)(nil)
		switch errors.As(err, &e); {
		case !answered:
			if e == nil || e.Outcome != OutcomeLost || !errors.Is(err, ErrPeerEnded) {
				t.Errorf("call %d, never answered: %v", tag, err)
			}
		case answer.OK:
			if err != nil || resp.Flags != answer.Flags || !bytes.Equal(resp.Payload, answer.Payload) {
				t.Errorf("call %d: %v, %v; recorded was %v", tag, resp, err, answer)
			}
		case e == nil || e.Outcome != OutcomeRejected || !bytes.Equal(e.Payload, answer.Payload):
			t.Errorf("call %d: %v; recorded was %v", tag, err, answer)
		}
	}
	far.Close()
	if err := conn.Shutdown(ctx); err != nil {
		t.Errorf("the end: %v", err)
	}
	for p := range pl.sent {
		pl.seen = append(pl.seen, p)
	}
	if r.whole && !bytes.Equal(pl.wire.Bytes(), streams[ours]) {
		t.Errorf("sent     %x\nrecorded %x", pl.wire.Bytes(), streams[ours])
	}
	for _, p := range pl.seen {
		if p.Kind != KindEndRequests { // the reference may send EOF alone
			t.Errorf("sent, and not in the recording: %v", p)
		}
	}
}
