package stream

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// listing takes ends in lists, and notes them and the events that it is shown as lines.
type listing struct {
	mu    sync.Mutex
	lines []string
	ends  []End
	lists int
}

func (l *listing) Events() EventSet {
	return Events(EventCallDone, EventRequestDone, EventRequestRejected)
}
func (l *listing) Begin(ctx context.Context, _ *Event) context.Context { return ctx }
func (l *listing) Observe(_ context.Context, e *Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf("%v %d %v followed=%t", e.Kind, e.Packet.Type, e.Outcome, e.Followed))
}

func (l *listing) ObserveEnds(c *Conn, role Role, ends []End) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lists++
	if len(ends) == 0 {
		l.lines = append(l.lines, "an empty list")
	}
	for i := range ends {
		l.ends = append(l.ends, ends[i])
		e := ends[i].Event(c, role)
		l.lines = append(l.lines, fmt.Sprintf("listed %v %d %v size=%d label=%q", e.Kind, e.Packet.Type, e.Outcome, e.Size, e.Label))
	}
}

func (l *listing) take() (lines []string, lists int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines, lists = l.lines, l.lists
	l.lines, l.lists = nil, 0
	slices.Sort(lines)
	return lines, lists
}

// choosing follows the requests of a type, but for one that it takes back.
type choosing struct {
	typ, not uint64
	role     Role

	mu    sync.Mutex
	asked int
	seen  []string
}

func (o *choosing) Events() EventSet { return AllEvents }
func (o *choosing) Chooses(_ context.Context, _ *Conn, role Role, _, _, typ uint64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked++
	return role == o.role && (typ == o.typ || typ == o.not)
}

func (o *choosing) Begin(ctx context.Context, e *Event) context.Context {
	o.note(e)
	e.Followed = e.Followed && e.Packet.Type != o.not
	return ctx
}

func (o *choosing) Observe(_ context.Context, e *Event) {
	if ofRequests.Has(e.Kind) {
		o.note(e)
	}
}

func (o *choosing) note(e *Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = append(o.seen, fmt.Sprintf("%v %d", e.Kind, e.Packet.Type))
}

// pair is two connections that talk to each other, which close ends.
func pair(t *testing.T, a, b Options) (left, right *Conn, end func()) {
	t.Helper()
	near, far := net.Pipe()
	left, err := NewConn(near, a)
	if err != nil {
		t.Fatal(err)
	}
	if right, err = NewConn(far, b); err != nil {
		t.Fatal(err)
	}
	return left, right, func() { left.Close(); right.Close(); near.Close(); far.Close() }
}

// What is answered ok and followed by nobody is listed, all else is an event.
func TestEndsAreListed(t *testing.T) {
	onBothSides := func(o Observer) (*Conn, func()) {
		mux := new(Mux)
		mux.Handle(1, "Echo", echo)
		mux.Handle(2, "Decline", HandlerFunc(func(context.Context, Request) (Response, error) {
			return Response{}, &Rejection{}
		}))
		mux.Handle(3, "Echo", echo)
		a, _, end := pair(t, Options{Observer: o}, Options{Observer: o, Handler: mux})
		return a, end
	}
	synctest.Test(t, func(t *testing.T) {
		l := new(listing)
		others := &recorder{wants: Events(EventCallDone)}
		follows := &choosing{typ: 3, role: RoleClient}
		c, end := onBothSides(Observers(l, follows, others))
		defer end()
		for typ := range uint64(4) {
			_, _ = c.Call(t.Context(), Request{Type: typ, Payload: []byte("12345"), Label: fmt.Sprint("label ", typ)})
		}
		synctest.Wait()
		got, _ := l.take()
		want := []string{
			`call_done 0 rejected followed=false`,
			`call_done 2 rejected followed=false`,
			`call_done 3 ok followed=true`,
			`listed call_done 1 ok size=5 label="label 1"`,
			`listed request_done 1 ok size=5 label=""`,
			`listed request_done 3 ok size=5 label=""`,
			`request_done 0 rejected followed=false`,
			`request_done 2 rejected followed=false`,
		}
		if !slices.Equal(got, want) {
			t.Errorf("shown:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if n := others.count(EventCallDone); n != 4 {
			t.Errorf("one who takes no lists was shown %d of 4 calls", n)
		}
	})
}

// A Chooser sees its requests only, and none that it does not follow any further.
func TestChooser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, all := &choosing{typ: 3, not: 2, role: RoleServer}, &recorder{wants: AllEvents}
		a, _, end := pair(t, Options{}, Options{Observer: Observers(o, all), Handler: echo})
		defer end()
		for typ := range uint64(5) {
			if _, err := a.Call(t.Context(), Request{Type: typ}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		want := []string{"request_begin 2", "request_begin 3", "request_started 3", "request_handled 3", "request_done 3"}
		if !slices.Equal(o.seen, want) || o.asked != 5 {
			t.Errorf("asked %d times, seen %q, want %q", o.asked, o.seen, want)
		}
		if n := all.count(EventRequestHandled); n != 5 {
			t.Errorf("one who does not choose was shown %d of 5 requests", n)
		}
	})
}

// Ends have the times of their requests: of those that ran one by one on the reader, too.
func TestTimesOfEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(listing)
		slow := HandlerFunc(func(_ context.Context, req Request) (Response, error) {
			if req.Type == 1 {
				time.Sleep(time.Second) // of the test's own clock
			}
			return Response{}, nil
		})
		a, _, end := pair(t, Options{Observer: l}, Options{Observer: l, Handler: slow})
		defer end()
		for typ := range uint64(2) {
			began := time.Now()
			if _, err := a.Call(t.Context(), Request{Type: typ}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if len(l.ends) != 2 {
				t.Fatalf("%d ends", len(l.ends))
			}
			for _, e := range l.ends {
				if want := time.Since(began); e.Duration != want || !e.Ended().Equal(time.Now()) {
					t.Errorf("type %d took %v until %v, want %v until %v", typ, e.Duration, e.Ended(), want, time.Now())
				}
			}
			l.ends = nil
		}
	})
}

// Requests that are served one after the other on the reader share looks at the clock, but
// no more of them than fit a list.
func TestTimesOfEndsOnTheReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const each, many = 100 * time.Microsecond, 40
		l, mux := new(listing), new(Mux)
		mux.Inline(1, "Work", HandlerFunc(func(context.Context, Request) (Response, error) {
			time.Sleep(each) // of the test's own clock
			return Response{}, nil
		}))
		c, p := scripted(t, Options{Observer: l, Handler: mux})
		defer c.Close()
		var batch []Packet
		for i := range uint64(many) {
			batch = append(batch, ask(i+2, 1, ""))
		}
		p.send(batch...)
		time.Sleep(time.Second)
		synctest.Wait()
		if len(l.ends) != many {
			t.Fatalf("%d ends", len(l.ends))
		}
		for i, e := range l.ends {
			if least := time.Duration(i+1) * each; e.Duration < least || e.Duration > least+endsAtOnce*each {
				t.Errorf("the %dth took %v, want %v or a little more", i+1, e.Duration, least)
			}
		}
	})
}

// dawdling takes its time for each list.
type dawdling struct{ listing }

func (d *dawdling) ObserveEnds(c *Conn, role Role, ends []End) {
	d.listing.ObserveEnds(c, role, ends)
	time.Sleep(time.Millisecond)
}

// Calls whose answers have come together share a look at the clock, unless somebody else's
// function runs in between, which may take long.
func TestTimesOfAnswers(t *testing.T) {
	for _, c := range []struct {
		name   string
		submit func(*Conn) error
		late   time.Duration // each list, after the one before
	}{
		{"of callers who wait", func(c *Conn) error { _, err := c.Submit(context.Background(), Request{}); return err }, 0},
		{"of functions", func(c *Conn) error { c.Go(context.Background(), Request{}, nil); return nil }, time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const many, answering = 40, time.Second
				var d dawdling
				conn, p := scripted(t, Options{Observer: &d})
				defer conn.Close()
				var answers []Packet
				for i := range uint64(many) {
					if err := c.submit(conn); err != nil {
						t.Fatal(err)
					}
					answers = append(answers, ok(firstTag+i, ""))
				}
				time.Sleep(answering)
				p.send(answers...)
				time.Sleep(answering)
				synctest.Wait()
				d.mu.Lock()
				defer d.mu.Unlock()
				if len(d.ends) != many {
					t.Fatalf("%d ends", len(d.ends))
				}
				for i, e := range d.ends {
					if want := answering + time.Duration(i/endsAtOnce)*c.late; e.Duration != want || e.Answered != answering {
						t.Errorf("call %d took %v, and was answered after %v; want %v and %v", i, e.Duration, e.Answered, want, answering)
					}
				}
			})
		})
	}
}

// Many requests in one read, served on the reader, are shown in few lists, each of them
// once, and before their responses leave.
func TestManyEndsInFewLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(listing)
		c, p := quickly(t, Options{Observer: l, Handler: odd(nil)})
		defer c.Close()
		l.take()
		const many = 100
		var batch []Packet
		for i := range uint64(many) {
			batch = append(batch, ask(i+2, 0, "x"))
		}
		p.send(batch...)
		synctest.Wait()
		lines, lists := l.take()
		if len(lines) != many || lists > many/endsAtOnce+2 {
			t.Errorf("%d ends in %d lists", len(lines), lists)
		}
	})
}
