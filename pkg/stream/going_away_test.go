package stream

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// Clients leave a server that ends, before it rejects anything: no call fails.
func TestGoingAwayFailsNoCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var servers []*Conn
		dial := func(context.Context) (io.ReadWriter, func() error, error) {
			near, far := net.Pipe()
			s, err := NewConn(far, Options{Handler: echo, DrainTimeout: time.Second})
			if err != nil {
				t.Error(err)
			}
			servers = append(servers, s)
			return near, func() error { return errors.Join(near.Close(), far.Close()) }, nil
		}
		client, err := NewClient(dial, ClientOptions{})
		if err != nil {
			t.Fatal(err)
		}
		call := func() {
			t.Helper()
			if _, err := client.Call(t.Context(), Request{Payload: []byte("x")}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 5 {
			call()
			time.Sleep(time.Second)
			if len(servers) != i+1 {
				t.Fatalf("%d connections, want %d", len(servers), i+1)
			}
			ended := make(chan error, 1)
			go func() { ended <- servers[i].Shutdown(t.Context()) }()
			synctest.Wait()
			call() // it has another one dialled
			synctest.Wait()
			if len(servers) != i+2 {
				t.Fatalf("%d connections while the server ends, want %d", len(servers), i+2)
			}
			call()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		client.Close()
		for _, s := range servers {
			s.Close()
		}
	})
}

// A connection that ends tells, before its EOF, what it has not served: what is on the wire
// then is dropped, and may be sent elsewhere.
func TestTheLastTagComesBeforeEOF(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := scripted(t, Options{Handler: echo})
		hello := Hello{Version: 1, Features: FeatureGoingAway, Nonce: 7}
		p.send(Packet{Kind: KindRequest, Channel: ControlChannel, Tag: 2, Payload: hello.append(nil)})
		p.send(Packet{Kind: KindRequest, Tag: 2}, Packet{Kind: KindRequest, Tag: 3})
		synctest.Wait()
		p.take()
		ended := make(chan error, 1)
		go func() { ended <- c.Shutdown(t.Context()) }()
		synctest.Wait()
		leaves := Message{Kind: MessageGoingAway}
		served := Message{Kind: MessageGoingAway, Last: []ChannelTag{{0, 3}}}
		p.wants(leaves.packet(2), served.packet(3), packetEndRequests, packetEOF)
		p.send(Packet{Kind: KindRequest, Tag: 4})
		synctest.Wait()
		p.wants()
		p.send(packetEOF)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// Requests behind those that a peer serves still are for sending elsewhere.
func TestGoingAwayWithTheLastTag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := &recorder{wants: Events(EventCallDone, EventCallLate)}
		c, p := scripted(t, Options{Extension: ExtensionAsk, Observer: rec})
		synctest.Wait()
		p.take()
		hello := Hello{Version: 1, Features: AllFeatures, Credit: 100}
		p.send(Packet{Kind: KindResponse, OK: true, Channel: ControlChannel, Tag: 2, Payload: hello.append(nil)})
		synctest.Wait()
		served, err := c.Submit(t.Context(), Request{})
		if err != nil {
			t.Fatal(err)
		}
		unserved, err := c.Submit(t.Context(), Request{})
		if err != nil {
			t.Fatal(err)
		}
		later := make(chan error, 3)
		c.Go(t.Context(), Request{}, func(_ Response, err error) { later <- err })
		go func() {
			_, err := c.Call(t.Context(), Request{})
			later <- err
		}()
		synctest.Wait()
		goingAway := Message{Kind: MessageGoingAway, Last: []ChannelTag{{0, 2}}}
		p.send(goingAway.packet(2), notOK(3, textRequestsEnded), notOK(4, textRequestsEnded))
		p.send(notOK(5, textRequestsEnded))
		_, err = unserved.Wait(t.Context())
		if e := (*Error)(nil); !errors.As(err, &e) || e.Outcome != OutcomeLost || e.Sent || !errors.Is(err, ErrGoingAway) {
			t.Errorf("%v", err)
		}
		p.send(ok(2, "x"))
		if _, err := served.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		for range 2 {
			if err := <-later; !errors.Is(err, ErrGoingAway) {
				t.Error(err)
			}
		}
		if len(later) > 0 {
			t.Errorf("%d more", len(later))
		}
		if !c.PeerGoingAway() || c.Stats().InFlight != 0 || rec.count(EventCallDone) != 4 || rec.count(EventCallLate) != 3 {
			t.Errorf("%+v", c.Stats())
		}
	})
}

// A server that ends in order and is not back at once is waited for as long as one that
// was killed: dials that failed while the old connection still served count for nothing.
func TestGoingAwayLeavesAllAttempts(t *testing.T) {
	for name, c := range map[string]struct {
		drains, away time.Duration // how long the server ends, and is gone then
	}{
		"ends at once":     {0, 10 * time.Second},
		"ends soon":        {time.Second, 10 * time.Second},
		"ends slowly":      {5 * time.Second, 10 * time.Second},
		"ends very slowly": {time.Minute, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			exchanged(t, func(t *testing.T, x *exchange) {
				slow := make(chan struct{})
				handler := HandlerFunc(func(_ context.Context, req Request) (Response, error) {
					if string(req.Payload) == "slow" {
						<-slow
					}
					return Response{}, nil
				})
				var back time.Time
				x.answer = func(_ context.Context, n int, far net.Conn) error {
					if n > 1 && time.Now().Before(back) {
						return errors.New("nobody listens")
					}
					x.serve(far, Options{Handler: handler, DrainTimeout: 2 * time.Minute})
					return nil
				}
				client := x.client(ClientOptions{DialAttempts: 10, Random: func() float64 { return 0.5 }})
				call := func(text string) error {
					_, err := client.Call(t.Context(), Request{Payload: []byte(text)})
					return err
				}
				if err := call("first"); err != nil {
					t.Fatal(err)
				}
				served := make(chan error, 1)
				go func() { served <- call("slow") }()
				synctest.Wait()
				back = time.Now().Add(c.drains + c.away)
				server := x.peers[0]
				go func() { _ = server.Shutdown(context.Background()) }()
				synctest.Wait()
				if err := call("while it ends"); err != nil { // which begins to dial
					t.Error(err)
				}
				time.Sleep(c.drains)
				close(slow)
				if err := <-served; err != nil {
					t.Error(err)
				}
				synctest.Wait()
				if err := call("when it is gone"); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
