package tracing

import (
	"sync"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// gatherDelay is how long ended spans are kept for others before they are handed on: each
// one that is wakes a goroutine, which costs more than all else about a span.
const gatherDelay = 100 * time.Millisecond

// gather keeps spans that have ended, to hand them on together.
type gather struct {
	to   func(sdktrace.ReadOnlySpan)
	most int // a batch of the processor behind

	mu     sync.Mutex
	spans  []sdktrace.ReadOnlySpan
	timer  *time.Timer // runs while there are some
	closed bool

	handing sync.Mutex // held while spans are handed on; taken before mu
}

// add takes a span. It does not block.
func (g *gather) add(s sdktrace.ReadOnlySpan) {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		g.to(s)
		return
	}
	g.spans = append(g.spans, s)
	if len(g.spans) == 1 {
		g.timer = time.AfterFunc(gatherDelay, g.handOn)
	}
	if len(g.spans) == g.most {
		go g.handOn() // which stops the timer
	}
	g.mu.Unlock()
}

// handOn hands on all that were added before it was called.
func (g *gather) handOn() {
	g.handing.Lock()
	defer g.handing.Unlock()
	g.mu.Lock()
	spans := g.spans
	g.spans = nil
	if g.timer != nil {
		g.timer.Stop()
	}
	g.mu.Unlock()
	for _, s := range spans {
		g.to(s)
	}
}

// close hands on what is there, and from now on at once.
func (g *gather) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.handOn()
}
