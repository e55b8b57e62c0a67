package stream

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// slowWriter takes each write only after a time.
type slowWriter struct {
	net.Conn
	delay time.Duration
}

func (s slowWriter) Write(b []byte) (int, error) {
	time.Sleep(s.delay)
	return s.Conn.Write(b)
}

// The stages of a request, on both sides: where the time goes is where it is shown.
func TestStages(t *testing.T) {
	const (
		handling = 3 * time.Second
		delay    = time.Second           // so that both requests leave in one write
		asking   = delay + 5*time.Second // the client's stream is slow
		telling  = 11 * time.Second      // the server's
	)
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		client, server := new(listing), new(listing)
		a, err := NewConn(slowWriter{near, asking - delay}, Options{Observer: client, FlushDelay: delay})
		if err != nil {
			t.Fatal(err)
		}
		b, err := NewConn(slowWriter{far, telling}, Options{
			Observer: server, MaxHandlers: 1,
			Handler: HandlerFunc(func(context.Context, Request) (Response, error) {
				time.Sleep(handling)
				return Response{Payload: []byte("answer")}, nil
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		first, err := a.Submit(t.Context(), Request{Type: 1, Payload: []byte("ask")})
		if err != nil {
			t.Fatal(err)
		}
		second, err := a.Submit(t.Context(), Request{Type: 2})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []*Call{first, second} {
			if _, err := c.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()

		type stages struct{ waited, sent, answered, duration time.Duration }
		check := func(name string, e End, begin time.Duration, want stages) {
			t.Helper()
			if got := (stages{e.Waited, e.Sent(), e.Answered, e.Duration}); got != want {
				t.Errorf("%s: %v, want %v", name, got, want)
			}
			if got := e.Begun().Sub(begun); got != begin {
				t.Errorf("%s began at %v, want %v", name, got, begin)
			}
		}
		both := 2 * handling
		check("call 1", client.ends[0], 0, stages{0, asking, asking + handling + telling, asking + handling + telling})
		check("request 1", server.ends[0], asking, stages{0, handling + telling, handling, handling})
		check("request 2", server.ends[1], asking, stages{handling, handling + 2*telling, both, both})
		if e := server.ends[0]; e.RequestSize != 3 || e.ResponseSize != 6 {
			t.Errorf("sizes %d and %d, want 3 and 6", e.RequestSize, e.ResponseSize)
		}
		a.Close()
		b.Close()
		near.Close()
		far.Close()
	})
}

// What Event and End make of each other is the same.
func TestEndOfEvent(t *testing.T) {
	m := new(mark)
	m.set(0)
	end := End{
		Channel: 3, Tag: 4, Type: 5, Flags: 6, Label: "label", Duration: 70, Waited: 8, Answered: 60,
		RequestSize: 9, ResponseSize: 10, begun: 11, sent: m,
	}
	if got := end.Event(nil, RoleServer).End(); got != end {
		t.Errorf("an event of %+v gives %+v", end, got)
	}
}

// A run of marks is used up before there is another, and each is used once.
func TestMarksAreUsedOnce(t *testing.T) {
	var ms marks
	seen := make(map[*mark]bool)
	for range 1000 {
		m := ms.next()
		if seen[m] {
			t.Fatal("a mark was given out twice")
		}
		seen[m] = true
	}
	if n := testing.AllocsPerRun(10*128, func() { ms.next() }); n > 0 {
		t.Errorf("%v allocations for each mark", n)
	}
	(*mark)(nil).set(0)
	if (*mark)(nil).get() != 0 {
		t.Error("no mark has a time")
	}
}
