package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pktsvc/pktsvc/pkg/diag"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// mixedLoad is everything that clients do, good and bad, all at once.
type mixedLoad struct {
	addr     string
	client   *stream.Client // whose connection stays
	stopping chan struct{}
	halt     func()
	running  sync.WaitGroup

	mu       sync.Mutex
	done     map[string]int // activity and what became of it
	failures []string
	requests int
}

// activity is one thing that clients do again and again.
type activity struct {
	name    string
	every   time.Duration
	callers int
	wants   stream.Outcome // of its requests
	do      func(ctx context.Context, l *mixedLoad) error
}

// request is an activity of one request over the connection that stays.
func request(typ uint64, size int, check func(resp, payload []byte) bool) func(context.Context, *mixedLoad) error {
	payload := bytes.Repeat([]byte("soak"), size/4)
	return func(ctx context.Context, l *mixedLoad) error {
		resp, err := l.client.Call(ctx, stream.Request{Type: typ, Payload: payload})
		if err == nil && check != nil && !check(resp.Payload, payload) {
			return fmt.Errorf("a wrong answer of %d bytes", len(resp.Payload))
		}
		return err
	}
}

var activities = []activity{
	{"small requests", time.Millisecond, 20, stream.OutcomeOK, request(diag.TypeEcho, 64, bytes.Equal)},
	{"large requests", 50 * time.Millisecond, 4, stream.OutcomeOK, request(diag.TypeEcho, 1<<20, bytes.Equal)},
	{"hashes", 20 * time.Millisecond, 4, stream.OutcomeOK, request(diag.TypeHash, 64<<10, nil)},
	{"call-backs", 10 * time.Millisecond, 8, stream.OutcomeOK, request(diag.TypeCallBack, 64, bytes.Equal)},
	{"failing requests", 20 * time.Millisecond, 2, stream.OutcomeRejected, request(diag.TypeFail, 64, nil)},
	{"requests of no type", 20 * time.Millisecond, 2, stream.OutcomeRejected, request(999, 64, nil)},
	{"requests given up", 20 * time.Millisecond, 8, stream.OutcomeDeadline, givesUp},
	{"short connections", 10 * time.Millisecond, 4, stream.OutcomeOK, shortly},
	{"connections that break off", 20 * time.Millisecond, 2, stream.OutcomeOK, breaksOff},
	{"strangers", 50 * time.Millisecond, 2, stream.OutcomeOK, strange},
}

// givesUp asks for an answer that comes too late.
func givesUp(ctx context.Context, l *mixedLoad) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
	defer cancel()
	_, err := l.client.Call(ctx, stream.Request{Type: diag.TypeSleep, Payload: []byte("100")})
	return err
}

// shortly connects, asks once and ends in order.
func shortly(ctx context.Context, l *mixedLoad) error {
	nc, err := net.Dial("tcp", l.addr)
	if err != nil {
		return err
	}
	defer nc.Close()
	conn, err := stream.NewConn(nc, stream.Options{})
	if err != nil {
		return err
	}
	_, err = conn.Call(ctx, stream.Request{Type: diag.TypeEcho})
	return errors.Join(err, conn.Shutdown(ctx))
}

// breaksOff leaves in the middle of a packet, with requests unanswered.
func breaksOff(_ context.Context, l *mixedLoad) error {
	nc, err := net.Dial("tcp", l.addr)
	if err != nil {
		return err
	}
	defer nc.Close()
	var b bytes.Buffer
	encoder := stream.NewEncoder(&b)
	for tag := range uint64(20) {
		err = errors.Join(err, encoder.Encode(stream.Packet{Tag: tag + 2, Type: diag.TypeSleep, Payload: []byte("50")}))
	}
	if err = errors.Join(err, encoder.Flush()); err != nil {
		return err
	}
	_, err = nc.Write(append(b.Bytes(), 200, 200))
	return err
}

// strange speaks another protocol.
func strange(_ context.Context, l *mixedLoad) error {
	nc, err := net.Dial("tcp", l.addr)
	if err != nil {
		return err
	}
	defer nc.Close()
	_, err = nc.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	return err
}

func startMixedLoad(t *testing.T, s *service) *mixedLoad {
	t.Helper()
	l := &mixedLoad{addr: s.addr, stopping: make(chan struct{}), done: make(map[string]int)}
	l.halt = sync.OnceFunc(func() { close(l.stopping) })
	var err error
	if l.client, err = stream.NewClient(stream.DialNetwork("tcp", s.addr), stream.ClientOptions{
		Conn: stream.Options{Handler: diag.Mux()}, // for call-backs
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.halt(); l.running.Wait(); l.client.Close() })
	for _, a := range activities {
		for range a.callers {
			l.running.Go(func() { l.repeat(a) })
		}
	}
	return l
}

func (l *mixedLoad) repeat(a activity) {
	for tick := time.Tick(a.every); ; {
		select {
		case <-tick:
		case <-l.stopping:
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		err := a.do(ctx, l)
		cancel()
		outcome := stream.OutcomeOK
		if e := (*stream.Error)(nil); errors.As(err, &e) {
			outcome = e.Outcome
		} else if err != nil {
			outcome = stream.OutcomePending // no outcome of a request at all
		}
		l.mu.Lock()
		l.requests++
		l.done[a.name]++
		if outcome != a.wants && len(l.failures) < 10 {
			l.failures = append(l.failures, fmt.Sprintf("%s: %v, want %v", a.name, err, a.wants))
		}
		l.mu.Unlock()
	}
}

// stop ends the load, and the connection that stays.
func (l *mixedLoad) stop(t *testing.T) {
	t.Helper()
	l.halt()
	l.running.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := l.client.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

// problems are outcomes that were not to be, and activities that came to nothing.
func (l *mixedLoad) problems() []string {
	list := l.failures
	for _, a := range activities {
		if l.done[a.name] == 0 {
			list = append(list, a.name+": none")
		}
	}
	return list
}

func (l *mixedLoad) summary() string { return fmt.Sprintf("%d requests and connections", l.requests) }

func (l *mixedLoad) table() string {
	var b strings.Builder
	b.WriteString("| load | times |\n| --- | ---: |\n")
	for _, name := range slices.Sorted(maps.Keys(l.done)) {
		fmt.Fprintf(&b, "| %s | %d |\n", name, l.done[name])
	}
	return b.String()
}
