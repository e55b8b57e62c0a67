package stream

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// rawPeer is the far end of a connection's stream, driven by hand.
type rawPeer struct {
	t    testing.TB
	far  net.Conn
	sent chan Packet // by our engine; closed at the end of its stream
}

// newRawPeer starts a connection and returns its far end. The connection's stream
// is closed when the connection has ended, as a server does.
func newRawPeer(t testing.TB, o Options) (*Conn, *rawPeer) {
	t.Helper()
	near, far := net.Pipe()
	c, err := NewConn(near, o)
	if err != nil {
		t.Fatal(err)
	}
	p := &rawPeer{t: t, far: far, sent: make(chan Packet, 100)}
	go func() {
		<-c.Done()
		near.Close()
	}()
	go func() {
		defer close(p.sent)
		for d := NewDecoder(far); ; {
			packet, _, err := d.Decode()
			if err != nil {
				return
			}
			packet.Payload = bytes.Clone(packet.Payload)
			p.sent <- packet
		}
	}()
	t.Cleanup(func() {
		c.Close()
		far.Close()
	})
	return c, p
}

// send writes bytes; the connection may have ended before it has read them.
func (p *rawPeer) send(b []byte) { _, _ = p.far.Write(b) }

func (p *rawPeer) sendPacket(packet Packet) { p.send(packet.append(nil)) }

// next returns the next packet of our engine, with ok false at its end.
func (p *rawPeer) next() (packet Packet, ok bool) {
	p.t.Helper()
	select {
	case packet, ok = <-p.sent:
		return packet, ok
	case <-time.After(time.Minute):
		p.t.Fatal("nothing was sent within a minute")
		panic("unreachable")
	}
}

// expect wants the next packets to be these, in any order.
func (p *rawPeer) expect(want ...Packet) {
	p.t.Helper()
	for len(want) > 0 {
		got, ok := p.next()
		i := slices.IndexFunc(want, got.Equal)
		if !ok || i < 0 {
			p.t.Fatalf("sent %v %q (%t), want one of %v", got, got.Payload, ok, want)
		}
		want = slices.Delete(want, i, i+1)
	}
}

// probe is the request that follows a vector where its "then" says so.
var probe = ask(999983, 0, "still there")

// What an accepted vector is answered with by an echo: unless named here, all are
// the request tag 3, type 0, flags 1, payload "a" in disguise.
var echoed = map[string]Packet{"request-tag-0": ok(0, "a"), "request-tag-1": ok(1, "a")}

// What a rejected vector is answered with.
var rejected = map[string]Packet{
	"request-unknown-channel": on(5, notOK(3, "unknown channel 5")),
	"erq-then-request":        notOK(3, textRequestsEnded),
}

func TestMalformedVectors(t *testing.T) {
	for _, v := range loadVectors(t).Malformed {
		for _, way := range []string{"at once", "byte by byte"} {
			bubble(t, v.ID+" "+way, func(t *testing.T) { playMalformed(t, v, way == "at once") })
		}
	}
}

// playMalformed offers a vector to a connection with a call pending.
func playMalformed(t *testing.T, v malformedVector, atOnce bool) {
	c, p := scripted(t, Options{MaxHandlers: 1, Handler: echo}) // one: answers in order
	pending, err := c.Submit(t.Context(), Request{Type: 5, Payload: []byte("pending")})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	p.wants(ask(2, 5, "pending"))

	b := unhex(t, v.BytesHex)
	switch v.Then {
	case "end of stream":
	case "a well formed request with tag 999983":
		b = append(b, wire(probe)...)
	default:
		t.Fatalf("unknown: then %q", v.Then)
	}
	go func() { // nobody may read it to its end
		for step := 1; len(b) > 0; b = b[step:] {
			if atOnce {
				step = len(b)
			}
			if _, err := p.to.Write(b[:step]); err != nil {
				return
			}
		}
		if v.Then == "end of stream" {
			p.to.Close()
		}
	}()
	synctest.Wait()

	required := v.Required
	if required == "either" {
		required = "accept"
		if ended(c.Received()) {
			required = "error"
		}
	}
	again := ok(probe.Tag, "still there")
	switch required {
	case "accept":
		answer, named := echoed[v.ID]
		if !named {
			answer = Packet{Kind: KindResponse, OK: true, Tag: 3, Flags: 1, Payload: []byte("a")}
		}
		goesOn(t, c, p, pending, answer, again)
	case "reject":
		if v.ID == "erq-then-request" {
			again = notOK(probe.Tag, textRequestsEnded)
		}
		goesOn(t, c, p, pending, rejected[v.ID], again)
	case "ignored":
		goesOn(t, c, p, pending, again)
	case "as ERQ":
		goesOn(t, c, p, pending, notOK(probe.Tag, textRequestsEnded))
	case "error":
		fails(t, v, c, p, pending)
	case "end":
		endsInOrder(t, c, p, pending, ReasonShutdown)
	case "end of stream":
		endsInOrder(t, c, p, pending, ReasonStreamEnd)
	default:
		t.Fatalf("unknown: required %q", required)
	}
}

// goesOn checks the answers, and that the connection works as before.
func goesOn(t *testing.T, c *Conn, p *peer, pending *Call, answers ...Packet) {
	t.Helper()
	p.wants(answers...)
	if pending.Outcome() != OutcomePending || ended(c.Received()) || c.Err() != nil || c.Reason() != ReasonNone {
		t.Fatalf("the connection suffered: call %v, %v, %v", pending.Outcome(), c.Reason(), c.Err())
	}
	p.send(ok(2, "answer"))
	if resp, err := pending.Wait(deadline(t)); err != nil || string(resp.Payload) != "answer" {
		t.Errorf("the pending call: %q, %v", resp.Payload, err)
	}
}

// fails checks a protocol error: calls fail with it, EOF is sent, all ends, and
// nothing that came behind was looked at.
func fails(t *testing.T, v malformedVector, c *Conn, p *peer, pending *Call) {
	t.Helper()
	p.wants(packetEndRequests, packetEOF)
	if pending.Outcome() != OutcomeLost || !ended(c.Received()) || !ended(c.Done()) || c.Stats().RequestsReceived != 0 {
		t.Fatalf("call %v, received %t, done %t", pending.Outcome(), ended(c.Received()), ended(c.Done()))
	}
	want := ReasonMalformed
	switch {
	case v.ID == "length-huge" || v.ID == "length-1GiB-waits":
		want = ReasonOversize
	case strings.HasPrefix(v.ID, "truncated") || v.ID == "length-unterminated":
		want = ReasonTruncated
	}
	_, err := pending.Wait(t.Context())
	for what, err := range map[string]error{"call": err, "connection": c.Err(), "Shutdown": c.Shutdown(t.Context())} {
		pe := (*ProtocolError)(nil)
		if !errors.As(err, &pe) || pe.Problem == "" || pe.Field == "" {
			t.Fatalf("%s: %v, want a *ProtocolError", what, err)
		}
		if errors.Is(err, ErrConnectionLost) != (what == "call") {
			t.Errorf("%s: %v: matches ErrConnectionLost: %t", what, err, what != "call")
		}
		if got := protocolReason(pe); got != want || c.Reason() != want {
			t.Errorf("%s: %v, connection %v, want %v", what, got, c.Reason(), want)
		}
	}
}

// endsInOrder checks that the input was taken as the peer's end, no error.
func endsInOrder(t *testing.T, c *Conn, p *peer, pending *Call, reason Reason) {
	t.Helper()
	p.wants() // nothing is closed by itself, nothing behind it is served
	if !ended(c.Received()) || ended(c.Done()) || c.Err() != nil {
		t.Fatalf("received %t, done %t, %v", ended(c.Received()), ended(c.Done()), c.Err())
	}
	_, err := pending.Wait(t.Context())
	if pe := (*ProtocolError)(nil); !errors.Is(err, ErrConnectionLost) || !errors.Is(err, ErrPeerEnded) || errors.As(err, &pe) {
		t.Errorf("the pending call: %v", err)
	}
	if err := c.Shutdown(deadline(t)); err != nil {
		t.Error(err)
	}
	synctest.Wait()
	p.wants(packetEndRequests, packetEOF)
	finished(t, c, reason, nil)
}

// An announced length is no memory taken, neither within the limit nor beyond.
func TestAnnouncedLengthTakesNoMemory(t *testing.T) {
	for name, length := range map[string][]byte{
		"the limit":   AppendUint(nil, DefaultMaxPacket), // it is awaited
		"one more":    AppendUint(nil, DefaultMaxPacket+1),
		"1 GiB":       AppendUint(nil, 1<<30),
		"2^40":        AppendUint(nil, 1<<40),
		"2^63":        AppendUint(nil, 1<<63),
		"2^64-1":      AppendUint(nil, 1<<64-1),
		"over 64 bit": unhex(t, "ffffffffffffffffffff7f"),
	} {
		c, peer := newRawPeer(t, Options{Handler: echo})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		peer.send(length)
		peer.send([]byte{3, 4})
		if name == "the limit" {
			peer.far.Close()
		}
		<-c.Done()
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 256<<10 {
			t.Errorf("%s: %d bytes were allocated for a packet that has not come", name, grown)
		}
		want := ReasonOversize
		switch name {
		case "the limit":
			want = ReasonTruncated
		case "over 64 bit":
			want = ReasonMalformed
		}
		if c.Reason() != want {
			t.Errorf("%s: %v: %v", name, c.Reason(), c.Err())
		}
	}
}

// Streams that are plainly something else end at once, with an error that says
// what it is.
func TestOtherProtocols(t *testing.T) {
	for first, want := range map[string]string{
		"GET / HTTP/1.1\r\n":                           "HTTP",
		"POST /metrics HTTP/1.1\r\n":                   "HTTP",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":             "HTTP",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03": "this is a TLS handshake",
		"\x15\x03\x03\x00\x02\x02\x0a":                 "this is a TLS alert",
	} {
		for _, cut := range []int{1, 3, len(first)} {
			if first[0] == 0x15 {
				cut = len(first) // it is sent in one piece, and has to be seen in one
			}
			c, peer := newRawPeer(t, Options{Handler: echo})
			go func() {
				for rest := first; rest != ""; {
					n := min(cut, len(rest))
					if _, err := io.WriteString(peer.far, rest[:n]); err != nil {
						return
					}
					rest = rest[n:]
				}
			}()
			<-c.Done()
			if c.Reason() != ReasonNotPackets || !strings.Contains(c.Err().Error(), want) {
				t.Errorf("%q: %v: %v", first, c.Reason(), c.Err())
			}
		}
	}
}
