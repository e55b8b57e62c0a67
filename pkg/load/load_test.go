package load_test

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pktsvc/pktsvc/pkg/diag"
	"github.com/pktsvc/pktsvc/pkg/load"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service is a server on TCP that ends with the test.
type service struct {
	dial  stream.Dial
	conns atomic.Int64 // accepted
	mu    sync.Mutex
	open  []*stream.Conn
}

func serve(t testing.TB, h stream.Handler) *service {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &service{dial: stream.DialNetwork("tcp", ln.Addr().String())}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			s.conns.Add(1)
			conn, err := stream.NewConn(nc, stream.Options{Handler: h})
			if err != nil {
				t.Error(err)
				return
			}
			s.mu.Lock()
			s.open = append(s.open, conn)
			s.mu.Unlock()
			all.Go(func() {
				defer nc.Close()
				<-conn.Received()
				conn.Shutdown(context.Background())
			})
		}
	})
	t.Cleanup(func() { ln.Close(); s.closeAll(); all.Wait() })
	return s
}

func (s *service) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.open {
		c.Close()
	}
}

func probes(typ uint64, size int) func(int) load.Exchange {
	return func(i int) load.Exchange { return diag.NewProbe(typ, size, uint64(i)) }
}

// start starts a run that is closed when the test ends.
func start(t testing.TB, ctx context.Context, p load.Plan) *load.Run {
	t.Helper()
	run, err := load.Start(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(run.Close)
	return run
}

func TestRequests(t *testing.T) {
	s := serve(t, diag.Mux())
	for _, typ := range []uint64{0, 1, 3, 4, 5, 6, 7} {
		run := start(t, t.Context(), load.Plan{
			Dial: s.dial, Conns: 3, Callers: 5, Exchange: probes(typ, 100), Requests: 1001,
			Options: stream.Options{Handler: diag.CallBacks()},
		})
		rep := run.Wait()
		if rep.Ops != 1001 || rep.Errors != 0 || len(rep.ByOutcome) != 0 || rep.ConnsLost != 0 || rep.Unsent != 0 {
			t.Errorf("type %d: %+v", typ, rep)
		}
		if typ == 0 && rep.Bytes != 1001*200 {
			t.Errorf("%d bytes, want %d", rep.Bytes, 1001*200)
		}
		if !(0 < rep.P50 && rep.P50 <= rep.P90 && rep.P90 <= rep.P99 && rep.P99 <= rep.P999 && rep.P999 <= rep.Max*1.001) {
			t.Errorf("type %d: latencies %+v", typ, rep)
		}
		if rep.PerSecond < 1 || rep.Seconds <= 0 || rep.Max > rep.Seconds*1e6*1.001 {
			t.Errorf("type %d: %+v", typ, rep)
		}
		run.Close()
		if again := run.Report(); again.Ops != rep.Ops || again.ConnsLost != 0 {
			t.Errorf("after the end: %+v", again)
		}
	}
	if n := s.conns.Load(); n != 7*3 {
		t.Errorf("%d connections", n)
	}
}

func TestDuration(t *testing.T) {
	s := serve(t, diag.Mux(diag.Inline()))
	begun := time.Now()
	rep := start(t, t.Context(), load.Plan{
		Dial: s.dial, Conns: 2, Callers: 8, Exchange: probes(0, 0), Duration: 200 * time.Millisecond,
	}).Wait()
	if rep.Ops == 0 || rep.Errors != 0 || rep.Seconds < 0.2 || time.Since(begun) > 10*time.Second {
		t.Errorf("%+v", rep)
	}
}

func TestErrorsByOutcome(t *testing.T) {
	wrong := stream.HandlerFunc(func(_ context.Context, req stream.Request) (stream.Response, error) {
		switch req.Flags { // a number that counts up to 15
		case 1:
			return stream.Response{}, stream.Reject("not this one")
		case 2:
			return stream.Response{Flags: 7, Payload: req.Payload}, nil
		}
		return stream.Response{Flags: req.Flags, Payload: req.Payload}, nil
	})
	rep := start(t, t.Context(), load.Plan{
		Dial: serve(t, wrong).dial, Conns: 1, Callers: 4, Exchange: probes(0, 16), Requests: 160,
	}).Wait()
	if rep.Ops != 140 || rep.Errors != 20 || rep.ByOutcome["rejected"] != 10 || rep.ByOutcome["wrong_answer"] != 10 || len(rep.ByOutcome) != 2 {
		t.Errorf("%+v", rep)
	}
	var text strings.Builder
	if err := rep.WriteText(&text); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"ops       140 in ", "errors    20\n", "10 rejected, the first: ", "not this one", "10 wrong_answer, the first: response flags 0x7, want 0x2"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("there is no %q in\n%s", want, &text)
		}
	}
}

// Latency counts from the time at which a request was meant to begin, so one
// stall is felt by all that were due meanwhile.
func TestRateCountsFromIntendedTime(t *testing.T) {
	const stall = 300 * time.Millisecond
	stalling := stream.HandlerFunc(func(ctx context.Context, req stream.Request) (stream.Response, error) {
		if req.Payload[0] == 0 { // the first request
			timer := time.NewTimer(stall)
			defer timer.Stop()
			<-timer.C
		}
		return stream.Response{Flags: req.Flags, Payload: req.Payload}, nil
	})
	rep := start(t, t.Context(), load.Plan{
		Dial: serve(t, stalling).dial, Conns: 1, Callers: 1, Exchange: probes(0, 8), Requests: 100, Rate: 500,
	}).Wait()
	if rep.Ops != 100 || rep.Errors != 0 || rep.Unsent != 0 {
		t.Fatalf("%+v", rep)
	}
	// Request n is due after 2n ms and can begin after 300 ms at the earliest, so
	// half of them wait for 200 ms or more.
	if rep.P50 < 200e3 || rep.Max < 300e3 {
		t.Errorf("p50 %v µs, max %v µs: latency does not count from the intended time", rep.P50, rep.Max)
	}
}

// A rate is kept when the service is quick: no request begins before its time.
func TestRate(t *testing.T) {
	s := serve(t, diag.Mux())
	rep := start(t, t.Context(), load.Plan{
		Dial: s.dial, Conns: 2, Callers: 4, Exchange: probes(0, 8), Requests: 100, Rate: 400,
	}).Wait()
	if rep.Ops != 100 || rep.Seconds < 0.2475 { // the last is due after 99/400 s
		t.Errorf("%+v", rep)
	}
	rep = start(t, t.Context(), load.Plan{
		Dial: s.dial, Conns: 2, Callers: 4, Exchange: probes(0, 8), Duration: 250 * time.Millisecond, Rate: 400,
	}).Wait()
	if rep.Ops+rep.Unsent != 100 || rep.Ops == 0 {
		t.Errorf("%d ops and %d unsent in a quarter of a second at 400 a second", rep.Ops, rep.Unsent)
	}
}

func TestUnsent(t *testing.T) {
	release := make(chan struct{})
	blocked := stream.HandlerFunc(func(ctx context.Context, req stream.Request) (stream.Response, error) {
		<-release
		return stream.Response{Flags: req.Flags, Payload: req.Payload}, nil
	})
	run := start(t, t.Context(), load.Plan{
		Dial: serve(t, blocked).dial, Conns: 1, Callers: 3, Exchange: probes(0, 8), Duration: 100 * time.Millisecond, Rate: 1000,
	})
	timer := time.NewTimer(150 * time.Millisecond) // longer than the run
	defer timer.Stop()
	<-timer.C
	close(release)
	if rep := run.Wait(); rep.Ops != 3 || rep.Unsent != 97 {
		t.Errorf("%d ops, %d unsent, want 3 and 97", rep.Ops, rep.Unsent)
	}
}

// outcomes counts the calls that an observer sees end, by outcome.
type outcomes [stream.NumOutcomes]atomic.Int64

func (*outcomes) Events() stream.EventSet { return stream.Events(stream.EventCallDone) }
func (*outcomes) Begin(ctx context.Context, _ *stream.Event) context.Context {
	return ctx
}
func (o *outcomes) Observe(_ context.Context, e *stream.Event) { o[e.Outcome].Add(1) }

func TestTimeout(t *testing.T) {
	deaf := stream.HandlerFunc(func(ctx context.Context, req stream.Request) (stream.Response, error) {
		if req.Flags%2 == 0 {
			<-ctx.Done()
		}
		return stream.Response{Flags: req.Flags, Payload: req.Payload}, nil
	})
	seen := new(outcomes)
	rep := start(t, t.Context(), load.Plan{
		Dial: serve(t, deaf).dial, Conns: 1, Callers: 2, Exchange: probes(0, 8), Requests: 8, Timeout: 80 * time.Millisecond,
		Options: stream.Options{Observer: seen},
	}).Wait()
	if late, ok := seen[stream.OutcomeDeadline].Load(), seen[stream.OutcomeOK].Load(); late != 4 || ok != 4 {
		t.Errorf("the observer has seen %d calls end by deadline and %d ok, want 4 and 4", late, ok)
	}
	if rep.Ops != 4 || rep.Errors != 4 || rep.ByOutcome["deadline"] != 4 {
		t.Errorf("%+v", rep)
	}
	if rep.Seconds < 2*0.08 {
		t.Errorf("given up after %v s", rep.Seconds)
	}
}

// When its context ends a run ends at once, and what was in flight is no error.
func TestInterrupt(t *testing.T) {
	begun := make(chan struct{}, 100)
	blocked := stream.HandlerFunc(func(ctx context.Context, req stream.Request) (stream.Response, error) {
		if req.Payload[0] >= 10 {
			begun <- struct{}{}
			<-ctx.Done()
		}
		return stream.Response{Flags: req.Flags, Payload: req.Payload}, nil
	})
	for _, rate := range []float64{0, 1000} {
		ctx, cancel := context.WithCancel(t.Context())
		run := start(t, ctx, load.Plan{
			Dial: serve(t, blocked).dial, Conns: 1, Callers: 3, Exchange: probes(0, 8), Duration: time.Hour, Rate: rate,
		})
		for range 3 {
			<-begun
		}
		cancel()
		if rep := run.Wait(); rep.Ops != 10 || rep.Errors != 0 || rep.Unsent != 0 {
			t.Errorf("%+v", rep)
		}
	}
}

// A run whose connections are lost ends, long before its time.
func TestConnectionsLost(t *testing.T) {
	begun := make(chan struct{}, 100)
	s := serve(t, stream.HandlerFunc(func(ctx context.Context, req stream.Request) (stream.Response, error) {
		begun <- struct{}{}
		<-ctx.Done()
		return stream.Response{}, nil
	}))
	run := start(t, t.Context(), load.Plan{Dial: s.dial, Conns: 2, Callers: 4, Exchange: probes(0, 8), Duration: time.Hour})
	for range 8 {
		<-begun
	}
	s.closeAll()
	rep := run.Wait()
	if rep.Ops != 0 || rep.Errors != 8 || rep.ByOutcome["lost"] != 8 || rep.ConnsLost != 2 {
		t.Errorf("%+v", rep)
	}
}

func TestNoConnection(t *testing.T) {
	s := serve(t, diag.Mux())
	refused := errors.New("refused")
	var dialled atomic.Int64
	dial := func(ctx context.Context) (io.ReadWriter, func() error, error) {
		if dialled.Add(1) == 5 {
			return nil, nil, refused
		}
		return s.dial(ctx)
	}
	_, err := load.Start(t.Context(), load.Plan{Dial: dial, Conns: 100, Callers: 1, Exchange: probes(0, 8), Requests: 1})
	if !errors.Is(err, refused) || !strings.Contains(err.Error(), "of 100: ") {
		t.Errorf("got %v", err)
	}
	// goleak sees connections that stay open.

	slow := func(ctx context.Context) (io.ReadWriter, func() error, error) {
		<-ctx.Done()
		return nil, nil, ctx.Err()
	}
	_, err = load.Start(t.Context(), load.Plan{Dial: slow, Conns: 2, Callers: 1, Exchange: probes(0, 8), Requests: 1, Timeout: time.Millisecond})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = load.Start(ctx, load.Plan{Dial: slow, Conns: 2, Callers: 1, Exchange: probes(0, 8), Requests: 1})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestValidate(t *testing.T) {
	dial := stream.DialNetwork("tcp", "127.0.0.1:1")
	nan := 0.0
	nan /= nan
	tests := []struct {
		plan load.Plan
		want string
	}{
		{load.Plan{Conns: 1, Callers: 1}, "Dial and Exchange must be there"},
		{load.Plan{Dial: dial, Exchange: probes(0, 0), Conns: 0, Callers: 1}, "0 connections with 1 callers each"},
		{load.Plan{Dial: dial, Exchange: probes(0, 0), Conns: 2000, Callers: 2000}, "at most 1048576 callers in all"},
		{load.Plan{Dial: dial, Exchange: probes(0, 0), Conns: 1, Callers: 1, Rate: -1}, "a rate of -1"},
		{load.Plan{Dial: dial, Exchange: probes(0, 0), Conns: 1, Callers: 1, Rate: nan}, "a rate of NaN"},
		{load.Plan{Dial: dial, Exchange: probes(0, 0), Conns: 1, Callers: 1, Duration: -1}, "a duration of -1ns"},
	}
	for _, test := range tests {
		_, err := load.Start(t.Context(), test.plan)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}

// The harness allocates nothing for each request: a run allocates what the same
// calls do without it, in the engine and in the service.
func TestAllocations(t *testing.T) {
	const callers, requests = 8, 40_000
	s := serve(t, diag.Mux(diag.Inline()))
	perRequest := func(work func()) float64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		work()
		runtime.ReadMemStats(&after)
		return float64(after.Mallocs-before.Mallocs) / requests
	}
	nc, closeStream, err := s.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer closeStream()
	conn, err := stream.NewConn(nc, stream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	bare := perRequest(func() {
		var all sync.WaitGroup
		for range callers {
			all.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				req := stream.Request{Payload: make([]byte, 16), Buffer: make([]byte, 16)}
				for range requests / callers {
					if _, err := conn.Call(ctx, req); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
	})
	loaded := perRequest(func() {
		rep := start(t, t.Context(), load.Plan{
			Dial: s.dial, Conns: 1, Callers: callers, Exchange: probes(0, 16), Requests: requests,
		}).Wait()
		if rep.Ops != requests {
			t.Errorf("%+v", rep)
		}
	})
	if loaded > bare+0.5 {
		t.Errorf("%.2f allocations for each request, %.2f without the harness", loaded, bare)
	}
}
