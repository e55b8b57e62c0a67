package e2e

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pktsvc/pktsvc/pkg/server"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// A service that notes the number of each request in a file before it answers, and
// callers that keep books of what became of theirs: together they tell what was
// lost, served twice or never answered.

const ledgerVariable = "PKTSVC_E2E_LEDGER" // its file

// The types of request of the service.
const (
	typeNote  = iota // payload: a number of 8 bytes; answered with it
	typeNever        // is noted, and never answered
	typeFail         // is noted, and answered by an error, which is logged
)

func noting() server.Service {
	file, err := os.OpenFile(os.Getenv(ledgerVariable), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	note := func(req stream.Request) error { _, err := file.Write(req.Payload); return err }
	mux := new(stream.Mux)
	mux.HandleFunc(typeNote, "Note", func(_ context.Context, req stream.Request) (stream.Response, error) {
		return stream.Response{Payload: req.Payload}, note(req)
	})
	mux.HandleFunc(typeNever, "Never", func(_ context.Context, req stream.Request) (stream.Response, error) {
		_ = note(req) // it is not looked at
		select {}
	})
	mux.HandleFunc(typeFail, "Fail", func(_ context.Context, req stream.Request) (stream.Response, error) {
		return stream.Response{}, errors.Join(errors.New("on purpose"), note(req))
	})
	return server.Service{Name: "noting", Mux: mux}
}

// ledger is the file of one service, which later ones at its place go on with.
type ledger struct {
	path        string
	addr, admin string
	program     program
	flags       []string
	service     *service
}

func newLedger(t *testing.T, p program, flags ...string) *ledger {
	t.Helper()
	l := &ledger{path: filepath.Join(t.TempDir(), "ledger"), addr: address(t), admin: address(t), flags: flags}
	l.program = embedding(t, keepsLedger)
	l.program.env = append(append(l.program.env, ledgerVariable+"="+l.path), p.env...)
	l.program.files, l.program.log = p.files, p.log
	l.start(t)
	return l
}

// start starts the service, again after an end.
func (l *ledger) start(t *testing.T) {
	t.Helper()
	l.service = begin(t, l.program, l.addr, l.admin, l.flags...)
	l.service.ready(t, l.service.url("/readyz"))
}

// restart ends it by SIGTERM, which must go well, and starts it again.
func (l *ledger) restart(t *testing.T) {
	t.Helper()
	l.end(t, 0)
	l.start(t)
}

func (l *ledger) end(t *testing.T, code int) {
	t.Helper()
	terminate(t, l.service.process, code)
}

// noted counts how often each request was served.
func noted(t *testing.T, ledgers ...*ledger) map[uint64]int {
	t.Helper()
	counts := make(map[uint64]int)
	for _, l := range ledgers {
		b, err := os.ReadFile(l.path)
		if err != nil {
			t.Fatal(err)
		}
		for ; len(b) >= 8; b = b[8:] {
			counts[binary.BigEndian.Uint64(b)]++
		}
	}
	return counts
}

// callers ask until they are stopped, each one request after the other.
type callers struct {
	client     *stream.Client
	idempotent bool
	typ        uint64
	from       uint64 // the numbers of the requests, so that those of others are different
	timeout    time.Duration
	stopping   chan struct{}
	halt       func() // closes stopping
	running    sync.WaitGroup
	lastID     atomic.Uint64

	mu    sync.Mutex
	asked map[uint64]*asked
	by    map[stream.Outcome]int
}

// asked is one request.
type asked struct {
	outcome stream.Outcome
	sent    bool
}

const callersAtATime = 32

// callTo starts callers of services, which take turns in being dialled.
func callTo(t *testing.T, c *callers, ledgers ...*ledger) *callers {
	t.Helper()
	var turn atomic.Uint64
	dial := func(ctx context.Context) (io.ReadWriter, func() error, error) {
		l := ledgers[turn.Add(1)%uint64(len(ledgers))]
		nc, err := new(net.Dialer).DialContext(ctx, "tcp", l.addr)
		if err != nil {
			return nil, nil, err
		}
		return nc, nc.Close, nil
	}
	var err error
	if c.client, err = stream.NewClient(dial, stream.ClientOptions{MaxBackoff: 100 * time.Millisecond, DialAttempts: 100}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.halt()
		c.client.Close()
		c.running.Wait()
	})
	if c.timeout == 0 {
		c.timeout = 20 * time.Second
	}
	c.stopping, c.asked, c.by = make(chan struct{}), make(map[uint64]*asked), make(map[stream.Outcome]int)
	c.halt = sync.OnceFunc(func() { close(c.stopping) })
	for range callersAtATime {
		c.running.Go(c.ask)
	}
	return c
}

func (c *callers) ask() {
	for {
		select {
		case <-c.stopping:
			return
		default:
		}
		id := c.from + c.lastID.Add(1)
		a := new(asked)
		c.mu.Lock()
		c.asked[id] = a
		c.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
		_, err := c.client.Call(ctx, stream.Request{Type: c.typ, Payload: binary.BigEndian.AppendUint64(nil, id), Idempotent: c.idempotent})
		cancel()
		c.mu.Lock()
		a.outcome, a.sent = stream.OutcomeOK, true
		if e := (*stream.Error)(nil); errors.As(err, &e) {
			a.outcome, a.sent = e.Outcome, e.Sent
		}
		c.by[a.outcome]++
		c.mu.Unlock()
	}
}

// more waits until so many more requests have had an outcome.
func (c *callers) more(t *testing.T, n int, outcome stream.Outcome) {
	t.Helper()
	count := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.by[outcome]
	}
	want := count() + n
	eventually(t, time.Minute, fmt.Sprintf("%d more requests are %v", n, outcome), func() error {
		if have := count(); have < want {
			return fmt.Errorf("%d are missing", want-have)
		}
		return nil
	})
}

// stop ends the asking and compares the books of both sides. The requests of test
// `name` are stated in its log.
func (c *callers) stop(t *testing.T, name string, ledgers ...*ledger) map[stream.Outcome]int {
	t.Helper()
	c.halt()
	done := make(chan struct{})
	go func() { c.running.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(c.timeout + time.Minute):
	}
	served := noted(t, ledgers...)
	c.mu.Lock()
	defer c.mu.Unlock()
	unanswered, twice := 0, 0
	for id, a := range c.asked {
		n := served[id]
		switch {
		case a.outcome == stream.OutcomePending:
			unanswered++
		case a.outcome == stream.OutcomeOK && n == 0:
			t.Errorf("request %d was answered, but never served", id)
		case !a.sent && n > 0:
			t.Errorf("request %d is said not to have been sent, but was served: %v", id, a.outcome)
		}
		if n > 1 && !c.idempotent {
			twice++
		}
	}
	if unanswered > 0 || twice > 0 {
		t.Errorf("%d requests have no outcome, %d were served twice", unanswered, twice)
	}
	var outcomes []string
	for _, o := range slices.Sorted(maps.Keys(c.by)) {
		outcomes = append(outcomes, fmt.Sprintf("%d %v", c.by[o], o))
	}
	t.Logf("guarantee: %s %d requests: %s; %d served twice, %d without outcome", name, len(c.asked), strings.Join(outcomes, ", "), twice, unanswered)
	return c.by
}

// terminate sends SIGTERM and expects that the process ends by itself.
func terminate(t *testing.T, p *process, code int) {
	t.Helper()
	p.signal(t, terminated)
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		t.Fatalf("%s does not end", p.name)
	}
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("%s: exit code %d, want %d: %v", p.name, got, code, p.err)
	}
}
