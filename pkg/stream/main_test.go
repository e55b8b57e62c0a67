package stream

import (
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

// No test may leave a goroutine of the engine behind.
// TestMain lets handlers run on the reader from the first request on, if
// PKTSVC_EAGER is set.
func TestMain(m *testing.M) {
	buffersHeld = new(atomic.Int64)
	if os.Getenv("PKTSVC_EAGER") != "" {
		paceProof, roleWarmUp = 1, 1
	}
	goleak.VerifyTestMain(m)
}

// peer is the far end of a connection, played by a test. Its two directions end
// apart from each other.
type peer struct {
	t testing.TB

	stream    io.ReadWriter // what the connection was made of
	in, out   net.Conn      // the connection reads in and writes out
	to, from  net.Conn      // their other ends
	listening sync.WaitGroup

	mu  sync.Mutex
	got []byte
}

// scripted starts a connection whose peer is played by the test. In a bubble of
// [testing/synctest] call synctest.Wait before looking at what was sent.
func scripted(t testing.TB, o Options) (*Conn, *peer) {
	t.Helper()
	p := deafPeer(t)
	c, err := NewConn(p.stream, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	p.listen()
	return c, p
}

// deafPeer is a peer that takes no bytes until it is told to listen.
func deafPeer(t testing.TB) *peer {
	p := &peer{t: t}
	p.in, p.to = net.Pipe()
	p.out, p.from = net.Pipe()
	p.stream = Join(p.in, p.out)
	t.Cleanup(func() {
		for _, end := range []net.Conn{p.in, p.to, p.out, p.from} {
			end.Close()
		}
		p.listening.Wait()
	})
	return p
}

func (p *peer) listen() {
	p.listening.Go(func() {
		b := make([]byte, 4<<10)
		for {
			n, err := p.from.Read(b)
			p.mu.Lock()
			p.got = append(p.got, b[:n]...)
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	})
}

// send gives the connection packets to read, in one write.
func (p *peer) send(packets ...Packet) {
	p.t.Helper()
	p.sendBytes(wire(packets...))
}

func (p *peer) sendBytes(b []byte) {
	p.t.Helper()
	if _, err := p.to.Write(b); err != nil {
		p.t.Fatalf("the connection does not read: %v", err)
	}
}

// wants checks what the connection has sent since the last look.
func (p *peer) wants(want ...Packet) {
	p.t.Helper()
	got := p.take()
	if w := wire(want...); string(got) != string(w) {
		p.t.Errorf("sent %s\nwant %s %v", describe(got), hex.EncodeToString(w), want)
	}
}

// take returns what the connection has sent since the last look.
func (p *peer) take() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	got := p.got
	p.got = nil
	return got
}

func describe(b []byte) string {
	var s strings.Builder
	s.WriteString(hex.EncodeToString(b))
	for {
		p, n, _, err := ParsePacket(b, 0)
		if err != nil || n == 0 {
			return s.String()
		}
		s.WriteString(" [" + p.String() + "] ")
		s.WriteString(string(clip(p.Payload, 60)))
		b = b[n:]
	}
}

// ended reports whether a channel of the connection is closed.
func ended(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func ask(tag, typ uint64, payload string) Packet {
	return Packet{Tag: tag, Type: typ, Payload: []byte(payload)}
}

func ok(tag uint64, payload string) Packet {
	return Packet{Kind: KindResponse, OK: true, Tag: tag, Payload: []byte(payload)}
}

func notOK(tag uint64, text string) Packet {
	return Packet{Kind: KindResponse, Tag: tag, Payload: []byte(text)}
}

// outcomeOf is the outcome that the error of a call tells.
func outcomeOf(t testing.TB, err error) Outcome {
	t.Helper()
	e := (*Error)(nil)
	if !errors.As(err, &e) {
		t.Errorf("not an *Error: %v", err)
		return OutcomePending
	}
	return e.Outcome
}
