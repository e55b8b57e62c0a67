package stream

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/pktsvc/pktsvc/internal/simnet"
)

// By default the model test is small; CI sets more operations.
const (
	modelOperations = 20_000
	modelVariable   = "PKTSVC_MODEL_OPERATIONS"
	modelEnough     = 1000 // of each operation, outcome and reason, when there are a million
)

// Random programs of submitting, answering, rejecting, giving up, and every kind
// of end, on two connected engines that both ask. After each operation, when all is
// quiet, both are compared with a model of what every request may have become.
func TestModel(t *testing.T) {
	operations := modelOperations
	if text := os.Getenv(modelVariable); text != "" {
		var err error
		if operations, err = strconv.Atoi(text); err != nil {
			t.Fatalf("%s: %v", modelVariable, err)
		}
	}
	// In a bubble the clock stands at the same time always, and so would the seed.
	seed := flag.Lookup("rapid.seed").Value
	if given := seed.String(); given == "0" {
		if err := seed.Set(strconv.FormatUint(rand.Uint64()>>1, 10)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = seed.Set(given) })
	}
	t.Logf("again with: go test ./pkg/stream -run TestModel -rapid.seed %s", seed)
	first, err := strconv.ParseUint(seed.String(), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	_ = flag.Set("rapid.nofailfile", "true") // the seed is enough
	counts := newModelCounts()
	synctest.Test(t, func(t *testing.T) {
		for counts.operations < operations && !t.Failed() {
			rapid.Check(struct{ rapid.TB }{t}, func(rt *rapid.T) { runModel(rt, counts) }) // it asks a *testing.T what a bubble forbids
			if err := seed.Set(strconv.FormatUint(first+uint64(counts.programs), 10)); err != nil {
				t.Fatal(err)
			}
		}
	})
	counts.report(t, operations)
}

// modelCounts is what all programs together have tried.
type modelCounts struct {
	operations, programs, requests int
	by                             map[string]int // kind and name
}

func newModelCounts() *modelCounts {
	c := &modelCounts{by: make(map[string]int)}
	for _, list := range [][]modelOperation{modelBody, modelEnds} {
		for _, op := range list {
			c.by["operation "+op.name] = 0
		}
	}
	for o := OutcomeOK; o < NumOutcomes; o++ {
		c.by["outcome "+o.String()] = 0
	}
	for r := ReasonShutdown; r < NumReasons; r++ {
		if r != ReasonDeadPeer { // which takes the time that TestSimulatedNetworks has
			c.by["reason "+r.String()] = 0
		}
	}
	return c
}

func (c *modelCounts) report(t *testing.T, operations int) {
	names := make([]string, 0, len(c.by))
	for name := range c.by {
		names = append(names, name)
	}
	slices.Sort(names)
	var table strings.Builder
	for _, name := range names {
		fmt.Fprintf(&table, "%10d %s\n", c.by[name], name)
		if operations >= 1_000_000 && c.by[name] < modelEnough {
			t.Errorf("%s: only %d, want at least %d", name, c.by[name], modelEnough)
		}
	}
	t.Logf("%d programs\n%s", c.programs, &table)
	t.Logf("guarantee: TestModel %d operations, %d requests", c.operations, c.requests)
}

// modelOptions are the same on both sides but for what is drawn.
var (
	modelWriteTimeout = 10 * time.Second
	modelReadTimeout  = 10 * time.Second // shorter than a pause, whose rejections would be the rest of half a packet
	modelMaxAge       = time.Hour
)

const modelChannel = 5 // open on both sides, beside channel 0; 6 only on one's own

// modelSide is one of the two engines, with what the model knows of it.
type modelSide struct {
	name string
	m    *model
	conn *Conn
	link *simnet.Conn
	peer *modelSide

	asked   []*modelRequest // by this side, in order
	held    []*modelHeld    // handlers of this side that wait for their answers
	settled map[uint64]int  // EventCallDone, by type, which names the request

	begun, ended, opened, closed int  // events
	ending                       bool // by its own doing or that of its link
}

// GoString makes the listing of a program that fails readable.
func (s *modelSide) GoString() string { return s.name }

// modelRequest is one request and what it may become.
type modelRequest struct {
	id       uint64 // its type: unique in the program
	channel  uint64
	call     *Call
	result   chan modelResult // for those without a Call
	outcome  Outcome
	response Response
	err      error

	canceled bool
	deadline time.Time
	answered bool // the peer's handler has been told what to answer
	answer   modelAnswer
}

type modelResult struct {
	resp Response
	err  error
}

// modelHeld is a handler that waits to be told what to answer.
type modelHeld struct {
	id    uint64
	reply chan modelAnswer
}

// modelAnswer is how a handler ends.
type modelAnswer struct {
	kind string // ok, declined, error, panic, exit, large
	resp Response
}

// model is a program's world.
type model struct {
	rt       *rapid.T
	counts   *modelCounts
	sides    [2]*modelSide
	budget   *Budget
	starved  int
	requests map[uint64]*modelRequest
	lastID   uint64
	broken   bool // the links do not carry everything any more
	over     bool // some end has begun
	running  int  // goroutines of blocking calls
}

func runModel(rt *rapid.T, counts *modelCounts) {
	held := buffersHeld.Load()
	m := &model{rt: rt, counts: counts, budget: NewBudget(64 << 20), requests: make(map[uint64]*modelRequest)}
	m.connect()
	defer m.abandon()
	for range rapid.IntRange(0, 120).Draw(rt, "length") {
		m.do(rapid.SampledFrom(modelBody).Draw(rt, "operation"))
	}
	m.do(rapid.SampledFrom(modelEnds).Draw(rt, "end"))
	for range rapid.IntRange(0, 6).Draw(rt, "afterwards") {
		m.do(rapid.SampledFrom(modelBody).Draw(rt, "operation"))
	}
	m.finish()
	if n := buffersHeld.Load() - held; n != 0 {
		rt.Fatalf("%d buffers are not given back", n)
	}
}

func (m *model) connect() {
	a, b := simnet.Pair(0, simnet.Profile{}, simnet.Profile{})
	for i, link := range []*simnet.Conn{a, b} {
		m.sides[i] = &modelSide{name: "ab"[i : i+1], m: m, link: link, settled: make(map[uint64]int)}
	}
	m.sides[0].peer, m.sides[1].peer = m.sides[1], m.sides[0]
	for _, s := range m.sides {
		o := Options{
			Name: s.name, Handler: HandlerFunc(s.serve), Channels: map[uint64]Handler{modelChannel: HandlerFunc(s.serve)},
			Observer: s, Budget: m.budget, MaxPacket: 1 << 16,
			MaxHandlers:  rapid.SampledFrom([]int{1, 2, 5, 1000}).Draw(m.rt, "handlers"),
			MaxQueued:    rapid.SampledFrom([]int{1, 3, 1000}).Draw(m.rt, "queued"),
			WriteTimeout: modelWriteTimeout, ReadTimeout: modelReadTimeout, MaxAge: modelMaxAge,
		}
		if s.name == "a" {
			o.Channels[6] = nil
		}
		conn, err := NewConn(s.link, o)
		if err != nil {
			m.rt.Fatal(err)
		}
		s.conn = conn
	}
	synctest.Wait()
}

// serve is the handler of both channels.
func (s *modelSide) serve(ctx context.Context, req Request) (Response, error) {
	h := &modelHeld{id: req.Type, reply: make(chan modelAnswer, 1)}
	if want := modelPayload(req.Type); !bytes.Equal(req.Payload, want) {
		s.m.rt.Errorf("%s is asked %d with %q", s.name, req.Type, req.Payload)
	}
	s.m.hold(s, h)
	select {
	case a := <-h.reply:
		return a.end()
	case <-ctx.Done():
		return Response{}, ctx.Err()
	}
}

// end is how the handler ends.
func (a modelAnswer) end() (Response, error) {
	switch a.kind {
	case "declined":
		return Response{}, &Rejection{Flags: a.resp.Flags, Payload: a.resp.Payload}
	case "error":
		return Response{}, errBroken
	case "panic":
		panic("as the model wants it")
	case "large":
		return Response{Payload: make([]byte, 1<<16)}, nil
	}
	return a.resp, nil
}

func modelPayload(id uint64) []byte { return fmt.Appendf(nil, "request %d", id) }

// The observer of a side.

// Events asks for what the books are made of.
func (s *modelSide) Events() EventSet {
	return Events(EventConnOpened, EventConnClosed, EventRequestBegin, EventRequestDone, EventCallDone)
}

// Begin counts an accepted request.
func (s *modelSide) Begin(ctx context.Context, _ *Event) context.Context {
	s.m.lock(func() { s.begun++ })
	return ctx
}

// Observe counts ends.
func (s *modelSide) Observe(_ context.Context, e *Event) {
	s.m.lock(func() {
		switch e.Kind {
		case EventRequestDone:
			s.ended++
		case EventCallDone:
			s.settled[e.Packet.Type]++
			s.m.counts.by["outcome "+e.Outcome.String()]++
		case EventConnOpened:
			s.opened++
		case EventConnClosed:
			s.closed++
			s.m.counts.by["reason "+e.Reason.String()]++
		}
	})
}
