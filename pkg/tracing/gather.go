package tracing

import (
	"sync"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

const (
	// gatherMost and gatherDelay are how many ended spans are waited for, and how long,
	// before they are handed on: each one that is wakes a goroutine, which costs more
	// than all else about a span.
	gatherMost  = 512
	gatherDelay = 100 * time.Millisecond
)

// gather keeps spans that have ended, to hand them on together.
type gather struct {
	to   func(sdktrace.ReadOnlySpan)
	most int // at most gatherMost, and what fits the queue behind

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
	if g.spans == nil {
		g.spans = make([]sdktrace.ReadOnlySpan, 0, g.most)
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
