package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	matrixVariable = "PKTSVC_MATRIX" // "full": all cells
	matrixPart     = 17              // else one in so many
	matrixAtATime  = 6               // mostly they wait
)

// cell is one combination of what may make two peers wait for each other.
type cell struct {
	network string
	buffers int // of the sockets, in bytes; the kernel has a smallest size
	callers int // on each side that asks
	sides   int // that ask
	does    string
	limits  string
}

// matrixLimits are options, by name. Small ones are reached all the time.
var matrixLimits = map[string]Options{
	"default": {},
	"small":   {MaxHandlers: 2, MaxQueued: 3, SendBuffer: 600, MaxInFlight: 5},
	"queues":  {MaxHandlers: 4, SendBuffer: 1, MaxQueuedBytes: 3000},
	"delayed": {MaxHandlers: 2, FlushDelay: 100 * time.Microsecond},
}

func matrix() (cells []cell) {
	for _, network := range []string{"pipe", "tcp", "unix"} {
		for _, buffers := range []int{1, 16 << 10, 256 << 10, 2 << 20} {
			if network == "pipe" && buffers > 1 {
				continue // has none
			}
			for _, callers := range []int{1, 16, 256, 4096} {
				for sides := range 2 {
					for _, does := range []string{"echo", "call back", "stop reading"} {
						for _, limits := range []string{"default", "small", "queues", "delayed"} {
							cells = append(cells, cell{network, buffers, callers, sides + 1, does, limits})
						}
					}
				}
			}
		}
	}
	return cells
}

func (c cell) String() string {
	return fmt.Sprintf("%s/%d/%d callers/%d asking/%s/%s", c.network, c.buffers, c.callers, c.sides, c.does, c.limits)
}

// On real sockets, whatever the size of their buffers, the number of callers and
// the limits, whoever asks, calls back or stops reading for a while: nobody waits
// for ever, and every request has its one outcome.
func TestDeadlockMatrix(t *testing.T) {
	cells := matrix()
	full := os.Getenv(matrixVariable) == "full"
	var tried tally
	places := make(chan struct{}, matrixAtATime)
	var running sync.WaitGroup
	for i, c := range cells {
		if !full && i%matrixPart != 0 {
			continue
		}
		places <- struct{}{}
		running.Go(func() {
			c.run(t, &tried)
			<-places
		})
	}
	running.Wait()
	t.Logf("guarantee: TestDeadlockMatrix %d cells, %d requests, %d bytes of payload", tried.cells.Load(), tried.requests.Load(), tried.bytes.Load())
}

// tally is what all cells have tried.
type tally struct{ cells, requests, bytes atomic.Int64 }

// The types of request of the matrix.
const (
	typeEcho      = iota // inline
	typeEchoLater        // in a goroutine
	typeCallBack         // asks the peer typeEcho and answers what it got
	typeStop             // keeps the reader from reading for a moment
)

func matrixMux() *Mux {
	m := new(Mux)
	m.Inline(typeEcho, "Echo", echo)
	m.Handle(typeEchoLater, "EchoLater", echo)
	m.HandleFunc(typeCallBack, "CallBack", func(ctx context.Context, req Request) (Response, error) {
		return req.Conn.Call(ctx, Request{Flags: req.Flags, Payload: req.Payload})
	})
	m.Inline(typeStop, "Stop", HandlerFunc(func(ctx context.Context, req Request) (Response, error) {
		<-time.After(10 * time.Millisecond)
		return echo(ctx, req)
	}))
	return m
}

// requests is how many each caller makes.
func (c cell) requests() int { return max(1, 256/c.callers) }

// payload is the i-th one of a caller: small where the sockets take little.
func (c cell) payload(side, caller, i int) []byte {
	size := 1
	switch {
	case c.network == "tcp" && c.buffers == 1: // takes 200 ms for each 2 KiB
	case c.callers == 4096:
		size = 1 + caller%50
	default:
		size = 1 + i*caller*7%min(4*c.buffers+1000, 20_000)
	}
	return bytes.Repeat([]byte{byte(side), byte(caller), byte(i)}, size)[:size]
}

// typ is the type of the i-th request of a caller.
func (c cell) typ(caller, i int) uint64 {
	switch {
	case c.does == "call back":
		return typeCallBack
	case c.does == "stop reading" && caller == 0 && i%(c.requests()/4+1) == 0:
		return typeStop
	}
	return uint64(caller+i) % 2
}

func (c cell) run(t *testing.T, tried *tally) {
	o := matrixLimits[c.limits]
	o.Handler, o.WriteTimeout = matrixMux(), time.Minute
	buffers := c.buffers
	if c.network == "pipe" {
		buffers = 0
	}
	a, b := tightly(t, c.network, buffers, o, o)
	defer a.Close()
	defer b.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var answered, busy atomic.Int64
	var wg sync.WaitGroup
	for side, conn := range []*Conn{a, b}[:c.sides] {
		for caller := range c.callers {
			wg.Go(func() {
				for i := range c.requests() {
					payload := c.payload(side, caller, i)
					resp, err := conn.Call(ctx, Request{Type: c.typ(caller, i), Flags: uint64(i), Payload: payload})
					e := (*Error)(nil)
					switch {
					case err == nil && resp.Flags == uint64(i) && bytes.Equal(resp.Payload, payload):
						answered.Add(1)
						tried.bytes.Add(2 * int64(len(payload)))
					case errors.As(err, &e) && e.Outcome == OutcomeRejected && c.mayReject(string(e.Payload)):
						busy.Add(1)
					default:
						t.Errorf("%v, side %d: %v, %d bytes came back", c, side, err, len(resp.Payload))
						return
					}
				}
			})
		}
	}
	wg.Wait()
	atRest(t, a, b)
	want := int64(c.sides * c.callers * c.requests())
	if n := answered.Load() + busy.Load(); n != want || answered.Load() == 0 {
		t.Errorf("%v: %d answered and %d busy, want %d together", c, answered.Load(), busy.Load(), want)
	}
	tried.cells.Add(1)
	tried.requests.Add(want)
}

// mayReject says whether limits can be reached while this side is asked, so that
// it is busy, or its call-backs fail because the other is.
func (c cell) mayReject(text string) bool {
	limited := c.limits == "small" || c.limits == "queues"
	return limited && (strings.HasPrefix(text, "busy") || c.does == "call back" && text == textFailed)
}
