package stream

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"math"
	"net"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// hostileInputs are beginnings of streams that end a connection for a reason.
var hostileInputs = map[string]struct {
	input  []byte
	reason Reason // if the stream goes on after it
	offset int64
	field  string
}{
	"garbage":                   {bytes.Repeat([]byte{0xff}, 100), ReasonMalformed, 0, "length"},
	"length 2^40":               {AppendUint(nil, 1<<40), ReasonOversize, 0, "length"},
	"length of 70 bits":         {append(bytes.Repeat([]byte{0xff}, 9), 0x7f), ReasonMalformed, 0, "length"},
	"endless zeros":             {bytes.Repeat([]byte{0x80}, 40), ReasonMalformed, 0, "length"},
	"second packet 2^40":        {append(wire(Packet{Tag: 2}), AppendUint(nil, 1<<40)...), ReasonOversize, 4, "length"},
	"tag of 70 bits":            {append([]byte{10}, append(bytes.Repeat([]byte{0xff}, 9), 0x7f)...), ReasonMalformed, 0, "tag"},
	"flag word is missing":      {[]byte{1, 2}, ReasonMalformed, 0, "flag word"},
	"channel is missing":        {[]byte{2, 2, 3}, ReasonMalformed, 0, "channel"},
	"type is missing":           {[]byte{2, 2, 2}, ReasonMalformed, 0, "request type"},
	"type of 70 bits":           {append([]byte{12, 2, 2}, append(bytes.Repeat([]byte{0xff}, 9), 0x7f)...), ReasonMalformed, 0, "request type"},
	"empty":                     {[]byte{0}, ReasonMalformed, 0, "tag"},
	"HTTP request":              {[]byte("GET /metrics HTTP/1.1\r\n\r\n"), ReasonNotPackets, 0, "first bytes"},
	"HTTP/2":                    {[]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), ReasonNotPackets, 0, "first bytes"},
	"half a number, the end":    {[]byte{0x81}, ReasonTruncated, 0, "packet"},
	"half a packet, the end":    {[]byte{100, 2, 2, 1, 'h', 'a', 'l', 'f'}, ReasonTruncated, 0, "packet"},
	"whole and half, the end":   {append(wire(Packet{Tag: 2}, Packet{Tag: 3}), 3, 4), ReasonTruncated, 8, "packet"},
	"half a large one, the end": {append(AppendUint(nil, DefaultMaxPacket), make([]byte, 5000)...), ReasonTruncated, 0, "packet"},
}

// Each input, at once and as one byte a second: the same typed error, the
// pending call told of it, ERQ and EOF sent.
func TestHostileInput(t *testing.T) {
	for name, in := range hostileInputs {
		for _, pause := range []time.Duration{0, time.Second} {
			t.Run(name+"/"+pause.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					o := tap(EventConnClosed)
					c, p := newRawPeer(t, Options{Handler: echo, Observer: o})
					call, err := c.Submit(t.Context(), Request{})
					if err != nil {
						t.Fatal(err)
					}
					if pause == 0 {
						p.send(in.input)
					}
					for i := 0; i < len(in.input) && pause > 0 && !ended(c.Received()); i++ {
						time.Sleep(pause)
						p.send(in.input[i : i+1])
						synctest.Wait()
					}
					if in.reason == ReasonTruncated {
						synctest.Wait()
						p.far.Close()
					}
					<-c.Done()
					pe := (*ProtocolError)(nil)
					if !errors.As(c.Err(), &pe) || pe.Offset != in.offset || pe.Field != in.field || protocolReason(pe) != in.reason {
						t.Errorf("ended by %v, want offset %d, field %s", c.Err(), in.offset, in.field)
					}
					if e := o.next(t.Context(), t, EventConnClosed); c.Reason() != in.reason || e.Reason != in.reason || !errors.Is(e.Err, c.Err()) {
						t.Errorf("reason %v, event: %v, %v; want %v", c.Reason(), e.Reason, e.Err, in.reason)
					}
					if _, err := call.Wait(t.Context()); !errors.Is(err, ErrConnectionLost) || !errors.Is(err, c.Err()) {
						t.Errorf("the pending call: %v", err)
					}
					if in.reason != ReasonTruncated {
						var last Packet
						for packet := range p.sent {
							last = packet
						}
						if last.Kind != KindEOF {
							t.Errorf("the last packet sent is %v", last)
						}
					}
				})
			})
		}
	}
}

// A peer that sends a byte a second is served like any other.
func TestByteASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := newRawPeer(t, Options{Handler: echo})
		for _, b := range wire(Packet{Tag: 2, Payload: make([]byte, 5000)}, Packet{Tag: 3, Flags: 9}) {
			time.Sleep(time.Second)
			p.send([]byte{b})
		}
		p.expect(ok(2, string(make([]byte, 5000))), Packet{Kind: KindResponse, OK: true, Tag: 3, Flags: 9})
		if s := c.Stats(); s.PacketsReceived != 2 {
			t.Errorf("%+v", s)
		}
	})
}

// An HTTP and a TLS client that came to the wrong port get an end at once, and
// who is connected besides does not notice.
func TestRealStrangers(t *testing.T) {
	neighbour, _ := connected(t, "tcp", Options{}, Options{Handler: echo})
	for name, hello := range map[string]func(net.Conn) error{
		"HTTP": func(nc net.Conn) error {
			req, err := http.NewRequest(http.MethodPost, "http://localhost/metrics", bytes.NewReader(make([]byte, 1<<20)))
			if err != nil {
				return err
			}
			_ = req.Write(nc) // it may be cut short
			return nil
		},
		"TLS": func(nc net.Conn) error {
			if err := tls.Client(nc, &tls.Config{ServerName: "localhost"}).Handshake(); err == nil {
				return errors.New("the handshake succeeded")
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			ours, far := sockets(t, "tcp")
			defer far.Close()
			c := mustConn(t, ours, Options{Handler: echo})
			context.AfterFunc(c.base, func() { ours.Close() })
			if err := hello(far); err != nil {
				t.Error(err)
			}
			<-c.Done()
			if pe := (*ProtocolError)(nil); c.Reason() != ReasonNotPackets || !errors.As(c.Err(), &pe) || !bytes.Contains([]byte(pe.Problem), []byte(name)) {
				t.Errorf("%v: %v", c.Reason(), c.Err())
			}
			if _, err := neighbour.Call(deadline(t), Request{Payload: []byte("still there")}); err != nil {
				t.Error(err)
			}
		})
	}
}

// Answers in any order, with any payload, are not taken for another protocol.
func TestFirstAnswerIsNoStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := newRawPeer(t, Options{})
		var calls [2]*Call
		for i := range calls {
			var err error
			if calls[i], err = c.Submit(t.Context(), Request{}); err != nil {
				t.Fatal(err)
			}
		}
		// Looks like a TLS record of a ClientHello: 16 03 00 ab cd 01.
		payload := bytes.Repeat([]byte{0xab}, 20)
		payload[2] = 1
		p.sendPacket(notOK(3, string(payload)))
		p.sendPacket(ok(2, ""))
		e := (*Error)(nil)
		if _, err := calls[1].Wait(t.Context()); !errors.As(err, &e) || !bytes.Equal(e.Payload, payload) {
			t.Errorf("rejected with %v", err)
		}
		if _, err := calls[0].Wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// heap is what is in use after a collection.
func heap() int64 {
	runtime.GC()
	runtime.GC() // pools keep what they have for one more
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Responses to nothing are counted and dropped, by the million.
func TestResponsesToNothing(t *testing.T) {
	unknown := new(atomic.Int64)
	ours, far := sockets(t, "tcp")
	defer far.Close()
	mustConn(t, ours, Options{Handler: echo, Observer: counter{EventCallUnknown, unknown}})
	var before int64
	const n = 1_000_000
	for tag := uint64(0); tag < n; {
		var b []byte
		for range 10_000 {
			b = append(b, wire(Packet{Kind: KindResponse, OK: true, Channel: tag % 3, Tag: tag * 77, Payload: []byte("nothing")})...)
			tag++
		}
		if _, err := far.Write(b); err != nil {
			t.Fatal(err)
		}
		if tag == n/10 {
			eventually(t, "a tenth is read", func() bool { return unknown.Load() == n/10 })
			before = heap()
		}
	}
	if _, err := far.Write(wire(ask(5, 0, "and on"))); err != nil {
		t.Fatal(err)
	}
	if p, _, err := NewDecoder(far).Decode(); err != nil || !p.Equal(ok(5, "and on")) {
		t.Errorf("got %v, %v", p, err)
	}
	if got := unknown.Load(); got != n {
		t.Errorf("%d counted, want %d", got, n)
	}
	if grown := heap() - before; grown > 1<<20 {
		t.Errorf("%d bytes more in use", grown)
	}
}

// counter counts events of one kind.
type counter struct {
	kind EventKind
	n    *atomic.Int64
}

func (o counter) Events() EventSet                                    { return Events(o.kind) }
func (o counter) Begin(ctx context.Context, _ *Event) context.Context { return ctx }
func (o counter) Observe(context.Context, *Event)                     { o.n.Add(1) }

// Tags that collide in every table of any size, all open at once.
func TestCollidingTags(t *testing.T) {
	release := make(chan struct{})
	ours, far := sockets(t, "tcp")
	defer far.Close()
	c := mustConn(t, ours, Options{MaxHandlers: 8, MaxQueued: 3000, Handler: HandlerFunc(
		func(ctx context.Context, req Request) (Response, error) {
			select {
			case <-release:
			case <-ctx.Done():
			}
			return Response{Flags: req.Tag >> 40}, nil
		})})
	const n = 2000
	var b []byte
	for i := range uint64(n) {
		b = append(b, wire(Packet{Tag: i << 40})...)
	}
	if _, err := far.Write(append(b, wire(Packet{Tag: 7 << 40})...)); err != nil {
		t.Fatal(err)
	}
	d := NewDecoder(far)
	if p, _, err := d.Decode(); err != nil || p.OK || p.Tag != 7<<40 {
		t.Fatalf("got %v, %v, want tag in use", p, err)
	}
	if s := c.Stats(); s.Serving != 8 || s.Queued != n-8 || len(c.ch0.serving.ring) > 2*n {
		t.Errorf("%+v, a ring of %d", s, len(c.ch0.serving.ring))
	}
	close(release)
	seen := make(map[uint64]bool)
	for range n {
		p, _, err := d.Decode()
		if err != nil || !p.OK || p.Tag != p.Flags<<40 || seen[p.Tag] {
			t.Fatalf("got %v, %v; twice: %t", p, err, seen[p.Tag])
		}
		seen[p.Tag] = true
	}
	atRest(t, c)
}

// With every limit as high as it goes: a flood of tiny requests is served, and a
// length that is announced takes no memory and breaks no sum.
func TestNoLimits(t *testing.T) {
	o := Options{
		Handler: echo, MaxPacket: math.MaxInt, MaxHandlers: math.MaxInt, MaxQueued: math.MaxInt,
		MaxQueuedBytes: math.MaxInt, MaxInFlight: math.MaxInt, SendBuffer: math.MaxInt, WriteTimeout: math.MaxInt64,
	}
	a, _ := connected(t, "tcp", o, o)
	calls := make([]*Call, 50_000)
	for i := range calls {
		var err error
		if calls[i], err = a.Submit(deadline(t), Request{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, call := range calls {
		if _, err := call.Wait(deadline(t)); err != nil {
			t.Fatal(err)
		}
	}
	for _, length := range []uint64{1 << 39, 1<<61 - 100, math.MaxInt64, math.MaxUint64} {
		if _, n, need, err := ParsePacket(append(AppendUint(nil, length), 2, 2, 1), math.MaxInt); n != 0 || (err == nil && need < 1<<39) {
			t.Errorf("length %d: %d bytes parsed, %d needed, %v", length, n, need, err)
		}
		ours, far := sockets(t, "tcp")
		c := mustConn(t, ours, o)
		before := heap()
		if _, err := far.Write(append(AppendUint(nil, length), 2, 2, 1)); err != nil {
			t.Fatal(err)
		}
		if err := far.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		<-c.Received()
		if grown := heap() - before; grown > 1<<20 {
			t.Errorf("length %d: %d bytes more in use", length, grown)
		}
		if pe := (*ProtocolError)(nil); !errors.As(c.Err(), &pe) {
			t.Errorf("length %d: %v", length, c.Err())
		}
		far.Close()
	}
}
