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

func TestMalformedVectors(t *testing.T) {
	probe := Packet{Tag: 999983, Flags: 5, Type: 1, Payload: []byte("and on")}
	answer := Packet{Kind: KindResponse, OK: true, Tag: 999983, Flags: 5, Payload: []byte("and on")}
	refusal := Packet{Kind: KindResponse, Tag: 999983, Payload: []byte(textRequestsEnded)}
	for _, v := range loadVectors(t).Malformed {
		t.Run(v.ID, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, peer := newRawPeer(t, Options{Handler: echo})
				call, err := c.Submit(t.Context(), Request{Type: 1})
				if err != nil {
					t.Fatal(err)
				}
				peer.expect(Packet{Tag: 2, Type: 1})

				input := unhex(t, v.BytesHex)
				go func() { // nobody may read it to its end
					peer.send(input)
					if v.Then == "end of stream" {
						peer.far.Close()
					} else {
						peer.sendPacket(probe)
					}
				}()
				synctest.Wait()
				packet, _, _, parseErr := ParsePacket(input, 0)
				required := v.Required
				if required == "either" {
					required = "accept"
					if parseErr != nil {
						required = "error"
					}
				}
				switch required {
				case "accept":
					peer.expect(Packet{Kind: KindResponse, OK: true, Channel: packet.Channel, Tag: packet.Tag, Flags: packet.Flags, Payload: packet.Payload}, answer)
				case "ignored":
					peer.expect(answer)
				case "as ERQ":
					peer.expect(refusal)
				case "reject":
					got, _ := peer.next()
					if got.Kind != KindResponse || got.OK || len(got.Payload) == 0 {
						t.Errorf("sent %v, want a rejection", got)
					}
					if packet.Kind == KindEndRequests {
						peer.expect(refusal)
					} else {
						peer.expect(answer)
					}
				case "end", "end of stream":
					<-c.Received()
					if _, err := call.Wait(t.Context()); !errors.Is(err, ErrConnectionLost) || !errors.Is(err, ErrPeerEnded) {
						t.Errorf("the pending call: %v", err)
					}
					if err := c.Err(); err != nil {
						t.Errorf("not an orderly end: %v", err)
					}
					return
				case "error":
					<-c.Done()
					pe := (*ProtocolError)(nil)
					if !errors.As(c.Err(), &pe) || c.Reason() < ReasonMalformed || c.Reason() > ReasonNotPackets {
						t.Errorf("ended by %v: %v", c.Reason(), c.Err())
					}
					if _, err := call.Wait(t.Context()); !errors.Is(err, ErrConnectionLost) || !errors.As(err, &pe) {
						t.Errorf("the pending call: %v", err)
					}
					if v.Then != "end of stream" { // EOF can be sent, and is
						peer.expect(packetEndRequests, packetEOF)
					}
					return
				}
				if call.Outcome() != OutcomePending {
					t.Errorf("the pending call has ended: %v", call.Outcome())
				}
			})
		})
	}
}

// An announced length takes no memory before the bytes come.
func TestAnnouncedLengthTakesNoMemory(t *testing.T) {
	c, peer := newRawPeer(t, Options{Handler: echo})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	peer.send(AppendUint(nil, DefaultMaxPacket)) // allowed, so it is awaited
	peer.send([]byte{3, 4})
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
		t.Errorf("%d bytes were allocated for a packet that has not come", grown)
	}
	peer.far.Close()
	<-c.Done()
	if c.Reason() != ReasonTruncated {
		t.Errorf("%v: %v", c.Reason(), c.Err())
	}
}

// Streams that are plainly something else end at once, with an error that says
// what it is.
func TestOtherProtocols(t *testing.T) {
	for first, want := range map[string]string{
		"GET / HTTP/1.1\r\n":                           "HTTP",
		"POST /metrics HTTP/1.1\r\n":                   "HTTP",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":             "HTTP",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03": "TLS",
	} {
		for _, cut := range []int{1, 3, len(first)} {
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
