package stream

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// agreedPeer is a scripted peer that has agreed on the extension.
func agreedPeer(t *testing.T, o Options) (*Conn, *peer) {
	t.Helper()
	o.Extension = ExtensionAsk
	c, p := scripted(t, o)
	synctest.Wait()
	p.take()
	hello := Hello{Version: 1, Features: AllFeatures, Credit: 1000, Nonce: 7}
	p.send(Packet{Kind: KindResponse, OK: true, Channel: ControlChannel, Tag: 2, Payload: hello.append(nil)})
	synctest.Wait()
	return c, p
}

// A peer from which nothing comes any more is found, in the time that is said.
func TestDeadPeerIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := agreedPeer(t, Options{PingInterval: 10 * time.Second, PingTimeout: 3 * time.Second})
		begun := time.Now()
		_, err := c.Call(t.Context(), Request{})
		<-c.Done()
		if took := time.Since(begun); took != 23*time.Second && took != 13*time.Second {
			t.Errorf("found after %v", took)
		}
		if !errors.Is(err, ErrDeadPeer) || c.Reason() != ReasonDeadPeer {
			t.Errorf("%v, %v", err, c.Reason())
		}
	})
}

// A ping that waits behind much else, on a slow way, proves nothing as long as it has not
// left.
func TestPingBehindALongRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		c := mustConn(t, near, Options{
			Extension: ExtensionAsk, PingInterval: 10 * time.Second, PingTimeout: 3 * time.Second, WriteTimeout: time.Minute,
		})
		defer near.Close()
		if _, _, err := NewDecoder(far).Decode(); err != nil { // the hello
			t.Fatal(err)
		}
		agreed := c.hello(AllFeatures)
		hello := Packet{Kind: KindResponse, OK: true, Channel: ControlChannel, Tag: 2, Payload: agreed.append(nil)}
		answer, err := hello.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := far.Write(answer); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		go func() { _, _ = c.Call(context.Background(), Request{Payload: make([]byte, 4000)}) }()
		// A byte each second: that is more than an hour.
		some := make([]byte, 1)
		for range 3600 {
			time.Sleep(time.Second)
			if _, err := far.Read(some); err != nil {
				t.Fatalf("%v: %v", err, c.Err())
			}
		}
		go func() { _, _ = io.Copy(io.Discard, far) }()
		begun := time.Now()
		<-c.Done()
		if took := time.Since(begun); took < 3*time.Second || took > 13*time.Second || c.Reason() != ReasonDeadPeer {
			t.Errorf("after %v: %v", took, c.Err())
		}
	})
}

// Any byte is a sign of life, also a part of a packet.
func TestAnyByteIsASignOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := agreedPeer(t, Options{PingInterval: 10 * time.Second, PingTimeout: 3 * time.Second, ReadTimeout: time.Hour})
		packet := ok(99, "0123456789012345678901234567890123456789")
		b, err := packet.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range b {
			time.Sleep(9 * time.Second)
			p.sendBytes(b[i : i+1])
		}
		synctest.Wait()
		if c.Reason() != ReasonNone {
			t.Error(c.Err())
		}
	})
}

// Between two peers pings go on for ever, tell the round trip, and keep no connection from
// being idle.
func TestPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := &recorder{wants: Events(EventPacketReceived)}
		o := Options{PingInterval: 10 * time.Second, PingTimeout: 3 * time.Second}
		idle := o
		idle.IdleTimeout, idle.Observer = time.Hour, rec
		a, b, end := asking(t, o, idle)
		defer end()
		time.Sleep(30 * time.Minute)
		if a.Reason() != ReasonNone || b.Reason() != ReasonNone {
			t.Fatal(a.Err(), b.Err())
		}
		if n := rec.count(EventPacketReceived); n < 170 || n > 190 {
			t.Errorf("%d packets in half an hour", n)
		}
		time.Sleep(31 * time.Minute)
		if b.Reason() != ReasonTimeout {
			t.Errorf("it is not idle: %v", b.Reason())
		}
	})
}

func TestRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := agreedPeer(t, Options{PingInterval: 10 * time.Second})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		sent := Message{Kind: MessagePing, Ping: binary.BigEndian.AppendUint64(nil, uint64(c.ext.ping.at))}
		p.wants(sent.packet(3))
		time.Sleep(40 * time.Millisecond)
		p.send(Packet{Kind: KindResponse, OK: true, Channel: ControlChannel, Tag: 3, Payload: sent.Ping})
		synctest.Wait()
		if got := c.Stats().RoundTrip; got != 40*time.Millisecond {
			t.Errorf("%v", got)
		}
	})
}

// While this side does not read, since its own handlers are at their limit, it does not
// take the peer to be dead.
func TestWhoDoesNotReadJudgesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, release := held()
		c, p := agreedPeer(t, Options{
			Handler: h, MaxHandlers: 1, MaxQueued: 1, PingInterval: 10 * time.Second, PingTimeout: 3 * time.Second, PauseTimeout: time.Hour,
		})
		p.send(ask(2, 1, ""), ask(3, 1, ""), ask(4, 1, ""))
		time.Sleep(5 * time.Minute)
		if !c.Stats().Paused || c.Reason() != ReasonNone {
			t.Errorf("%+v, %v", c.Stats(), c.Err())
		}
		for range 3 {
			release <- struct{}{}
		}
	})
}

// A peer that pings and does not read costs no more than one answer.
func TestPingsThatAreNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := deafPeer(t)
		c, err := NewConn(p.stream, Options{})
		if err != nil {
			t.Fatal(err)
		}
		hello := Message{Kind: MessageHello, Hello: Hello{Version: 1, Features: AllFeatures, Credit: 1}}
		p.send(hello.packet(2))
		ping := Message{Kind: MessagePing, Ping: make([]byte, maxPing)}
		for tag := range uint64(1000) {
			p.send(ping.packet(3 + tag))
		}
		synctest.Wait()
		if n := c.Stats().SendQueued; n > 4*maxPing {
			t.Errorf("%d bytes wait to be sent", n)
		}
		c.Close()
	})
}

// Messages that are none are rejected like requests on a channel that is not open, and
// harm nothing.
func TestMessagesThatAreNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := scripted(t, Options{Handler: echo})
		control := func(tag, typ uint64, payload string) Packet {
			return Packet{Kind: KindRequest, Channel: ControlChannel, Tag: tag, Type: typ, Payload: []byte(payload)}
		}
		refused := func(tag uint64) Packet {
			return Packet{Kind: KindResponse, Channel: ControlChannel, Tag: tag, Payload: []byte("unknown channel 112")}
		}
		p.send(control(2, uint64(MessageCancel), "\x00\x02"), control(3, uint64(MessageHello), "\x01"), control(4, 99, ""))
		synctest.Wait()
		p.wants(refused(2), refused(3), refused(4))
		hello := Message{Kind: MessageHello, Hello: Hello{Version: 3, Features: AllFeatures | 1<<40, Credit: 0}}
		p.send(hello.packet(5), hello.packet(6))
		synctest.Wait()
		answer := c.hello(AllFeatures)
		p.wants(Packet{Kind: KindResponse, OK: true, Channel: ControlChannel, Tag: 5, Payload: answer.append(nil)}, refused(6))
		p.send(control(7, uint64(MessageCancel), ""), control(8, uint64(MessageMetadata), "\x00\x02\x01\xff"),
			control(9, uint64(MessageGoingAway), "\x81"), control(10, uint64(MessagePing), string(make([]byte, maxPing+1))),
			control(11, uint64(MessageCancel), "\x00\x63"), ask(2, 5, "x"))
		synctest.Wait()
		p.wants(refused(7), refused(8), refused(9), refused(10), ok(2, "x"))
		if c.PeerGoingAway() {
			t.Error("a going-away that cannot be read counts")
		}
	})
}

// Metadata goes to the request that it names, or to none.
func TestMetadataOfAnotherRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := make(chan *Metadata, 1)
		_, p := agreedPeer(t, Options{Handler: HandlerFunc(func(ctx context.Context, _ Request) (Response, error) {
			got <- MetadataFromContext(ctx)
			return Response{}, nil
		})})
		m := Message{Kind: MessageMetadata, Metadata: &Metadata{Tag: 9, Baggage: "k=v"}}
		p.send(m.packet(2), ask(8, 1, ""))
		if m := <-got; m != nil {
			t.Errorf("%+v", m)
		}
		p.send(ask(9, 1, ""))
		if m := <-got; m != nil {
			t.Errorf("%+v", m)
		}
		m.Metadata.Tag = 10
		p.send(m.packet(3), ask(10, 1, ""))
		if m := <-got; m == nil || m.Baggage != "k=v" {
			t.Errorf("%+v", m)
		}
	})
}
