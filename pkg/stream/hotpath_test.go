package stream

import (
	"context"
	"io"
	"testing"
)

// A hotPath is what every small request passes through, measured by itself and without a
// network: by time in BenchmarkHotPaths, by allocations in TestHotPathAllocations.
type hotPath struct {
	name string
	// setup returns what does n operations, a multiple of hotBatch.
	setup  func(testing.TB) func(n int)
	allocs float64 // the most for an operation
}

const hotBatch = 64

var hotPaths = []hotPath{
	{"encode", encodePackets, 0},
	{"parse", parsePackets, 0},
	{"tags", putAndTakeTags, 0},
	{"context", makeContexts, 0.02},
	{"serve", func(tb testing.TB) func(int) { return serveRequests(tb, Options{}) }, 0.1},
	{"serve observed", func(tb testing.TB) func(int) { return serveRequests(tb, Options{Observer: countsEnds{}}) }, 0.1},
	{"ask", func(tb testing.TB) func(int) { return askRequests(tb, Options{}) }, 0.1},
	{"ask observed", func(tb testing.TB) func(int) { return askRequests(tb, Options{Observer: countsEnds{}}) }, 0.1},
}

// countsEnds takes lists of ends, as the metrics do.
type countsEnds struct{}

func (countsEnds) Events() EventSet                                    { return Events(EventCallDone, EventRequestDone) }
func (countsEnds) Begin(ctx context.Context, _ *Event) context.Context { return ctx }
func (countsEnds) Observe(context.Context, *Event)                     {}
func (countsEnds) ObserveEnds(_ *Conn, _ Role, ends []End)             { _ = ends[0].Duration }

func encodePackets(testing.TB) func(int) {
	p, buf := ask(1<<20, 3, "sixteen bytes ok"), make([]byte, 0, 64)
	return func(n int) {
		for range n {
			buf = p.append(buf[:0])
		}
	}
}

func parsePackets(tb testing.TB) func(int) {
	b := wire(ask(1<<20, 3, "sixteen bytes ok"))
	var p Packet
	return func(n int) {
		for range n {
			if used, _, err := p.parse(b, DefaultMaxPacket); used != len(b) || err != nil {
				tb.Fatal(used, err)
			}
		}
	}
}

func putAndTakeTags(tb testing.TB) func(int) {
	var table tagTable[Call]
	call, next := new(Call), uint64(firstTag)
	return func(n int) {
		for range n / hotBatch {
			for i := range uint64(hotBatch) {
				table.put(next+i, call)
			}
			for i := range uint64(hotBatch) {
				if table.take(next+i) != call {
					tb.Fatal("a tag was lost")
				}
			}
			next += hotBatch
		}
	}
}

func makeContexts(tb testing.TB) func(int) {
	var ss scopes
	ch, p, turn := &channel{conn: new(Conn)}, Packet{}, uint64(1)
	return func(n int) {
		for range n {
			p.Tag++
			p.Type = p.Tag % 3
			turn += 2
			if s := ss.next(ch, &p, turn, true); s.readerTurn() != turn {
				tb.Fatal("another turn")
			}
		}
	}
}

// fed is a stream that gives what it is fed, and tells how much it takes.
type fed struct {
	reads chan []byte
	rest  []byte
	took  chan int
}

func newFed() *fed { return &fed{reads: make(chan []byte), took: make(chan int, 1)} }

func (f *fed) Read(b []byte) (int, error) {
	if len(f.rest) == 0 {
		var open bool
		if f.rest, open = <-f.reads; !open {
			return 0, io.EOF
		}
	}
	n := copy(b, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

func (f *fed) Write(b []byte) (int, error) {
	f.took <- len(b)
	return len(b), nil
}

// takes waits until the stream has taken so many bytes.
func (f *fed) takes(n int) {
	for n > 0 {
		n -= <-f.took
	}
}

// hotConn is a connection over a stream that is fed. It ends with the test.
func hotConn(tb testing.TB, o Options) (*Conn, *fed) {
	tb.Helper()
	f := newFed()
	c, err := NewConn(f, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		go func() {
			for range f.took { // ERQ and EOF
			}
		}()
		close(f.reads)
		_ = c.Close()
		<-c.Done()
		close(f.took)
	})
	return c, f
}

// serveRequests has requests come in one read, and waits for the answers to all.
func serveRequests(tb testing.TB, o Options) func(int) {
	m := new(Mux)
	m.Inline(0, "Echo", echo)
	o.Handler = m
	_, f := hotConn(tb, o)
	var requests, answers []Packet
	for tag := range uint64(hotBatch) {
		requests = append(requests, ask(firstTag+tag, 0, "sixteen bytes ok"))
		answers = append(answers, ok(firstTag+tag, "sixteen bytes ok"))
	}
	batch, answered := wire(requests...), len(wire(answers...))
	return func(n int) {
		for range n / hotBatch {
			f.reads <- batch
			f.takes(answered)
		}
	}
}

// askRequests asks by Go, and has the answers come in one read.
func askRequests(tb testing.TB, o Options) func(int) {
	c, f := hotConn(tb, o)
	payload, buf, batch := make([]byte, 16), make([]byte, 16), []byte(nil)
	left, all := 0, make(chan struct{})
	done := func(_ Response, err error) {
		if err != nil {
			tb.Error(err)
		}
		if left--; left == 0 {
			all <- struct{}{}
		}
	}
	next := uint64(firstTag)
	answer := ok(0, "sixteen bytes ok")
	return func(n int) {
		for range n / hotBatch {
			left = hotBatch
			batch = batch[:0]
			for range hotBatch {
				c.Go(context.Background(), Request{Payload: payload, Buffer: buf}, done)
				answer.Tag = next
				next++
				batch = answer.append(batch)
			}
			f.takes(len(batch)) // a request has as many bytes as its answer: type 0 and no flags
			f.reads <- batch
			<-all
		}
	}
}

func BenchmarkHotPaths(b *testing.B) {
	for _, path := range hotPaths {
		b.Run(path.name, func(b *testing.B) {
			work := path.setup(b)
			work(hotBatch)
			b.ReportAllocs()
			b.ResetTimer()
			work((b.N + hotBatch - 1) / hotBatch * hotBatch)
		})
	}
}

func TestHotPathAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("pools give little back under the race detector")
	}
	for _, path := range hotPaths {
		t.Run(path.name, func(t *testing.T) {
			const n = 100 * hotBatch
			work := path.setup(t)
			work(n)
			if got := testing.AllocsPerRun(5, func() { work(n) }) / n; got > path.allocs {
				t.Errorf("%.3f allocations for an operation, want at most %v", got, path.allocs)
			}
		})
	}
}
