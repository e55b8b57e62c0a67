package tracing

import (
	"sync"
	"time"
)

const (
	// endedBatch and endedDelay are how many requests are waited for, and how long,
	// before spans are made of them: a goroutine for each would cost more than the span.
	endedBatch = 256
	endedDelay = 100 * time.Millisecond
	// maxEnded is with how many that wait each further one is made a span at once.
	maxEnded = 16 * endedBatch
)

// ended are requests that have ended without a span. Making one takes microseconds,
// which neither the caller of a request nor the reader of a connection should spend.
type ended struct {
	mu       sync.Mutex
	requests []*request
	timer    *time.Timer // runs while there are some, up to a batch
	closed   bool

	making sync.Mutex // held while spans are made; taken before mu
}

// add takes a request. It does not block.
func (l *ended) add(r *request) {
	l.mu.Lock()
	if l.closed || len(l.requests) >= maxEnded {
		l.mu.Unlock()
		r.endSpan(r.start())
		return
	}
	l.requests = append(l.requests, r)
	switch len(l.requests) {
	case 1:
		l.timer = time.AfterFunc(endedDelay, l.makeSpans)
	case endedBatch:
		l.timer.Stop()
		go l.makeSpans()
	}
	l.mu.Unlock()
}

// makeSpans makes spans of all requests that have ended before it was called.
func (l *ended) makeSpans() {
	l.making.Lock()
	defer l.making.Unlock()
	l.mu.Lock()
	list := l.requests
	l.requests = nil
	if l.timer != nil {
		l.timer.Stop()
	}
	l.mu.Unlock()
	for _, r := range list {
		r.endSpan(r.start())
	}
}

// close makes spans of what is there, and from now on at once.
func (l *ended) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.makeSpans()
}
