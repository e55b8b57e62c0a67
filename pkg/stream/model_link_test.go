package stream

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// lane carries bytes in one direction between two connections of a model. The
// test can stall it, break it, end it and put bytes of its own on it.
type lane struct {
	mu      sync.Mutex
	bytes   []byte
	ended   bool // nothing comes behind bytes
	stalled bool // takes nothing more
	readErr error
	wrtErr  error
	changed chan struct{} // closed at each change
}

func newLane() *lane { return &lane{changed: make(chan struct{})} }

func (l *lane) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	close(l.changed)
	l.changed = make(chan struct{})
}

// put adds bytes that no connection has written.
func (l *lane) put(b []byte) { l.change(func() { l.bytes = append(l.bytes, b...) }) }

// linkEnd is one end of a link of two lanes: a stream with deadlines.
type linkEnd struct {
	in, out             *lane
	readLimit, wrtLimit linkDeadline
}

// linked returns the two ends of a link.
func linked() (a, b *linkEnd) {
	x, y := newLane(), newLane()
	a, b = &linkEnd{in: x, out: y}, &linkEnd{in: y, out: x}
	for _, e := range []*linkEnd{a, b} {
		e.readLimit.set(time.Time{})
		e.wrtLimit.set(time.Time{})
	}
	return a, b
}

var errBroken = errors.New("the link is broken")

func (e *linkEnd) Read(b []byte) (n int, err error) {
	l := e.in
	for {
		l.mu.Lock()
		changed := l.changed
		switch {
		case l.readErr != nil:
			err = l.readErr
		case len(l.bytes) > 0:
			n = copy(b, l.bytes)
			l.bytes = l.bytes[n:]
		case l.ended:
			err = io.EOF
		}
		l.mu.Unlock()
		if n > 0 || err != nil {
			return n, err
		}
		select {
		case <-changed:
		case <-e.readLimit.passed():
			return 0, os.ErrDeadlineExceeded
		}
	}
}

func (e *linkEnd) Write(b []byte) (n int, err error) {
	l := e.out
	for {
		l.mu.Lock()
		changed, done := l.changed, false
		switch {
		case l.wrtErr != nil:
			err, done = l.wrtErr, true
		case l.ended:
			err, done = io.ErrClosedPipe, true
		case !l.stalled:
			l.bytes = append(l.bytes, b...)
			n, done = len(b), true
			close(l.changed)
			l.changed = make(chan struct{})
		}
		l.mu.Unlock()
		if done {
			return n, err
		}
		select {
		case <-changed:
		case <-e.wrtLimit.passed():
			return 0, os.ErrDeadlineExceeded
		}
	}
}

func (e *linkEnd) SetReadDeadline(t time.Time) error  { return e.readLimit.set(t) }
func (e *linkEnd) SetWriteDeadline(t time.Time) error { return e.wrtLimit.set(t) }

// linkDeadline is a deadline of one direction.
type linkDeadline struct {
	mu    sync.Mutex
	timer *time.Timer
	sets  int           // a timer that was replaced may still fire
	over  chan struct{} // closed when it has passed
}

func (d *linkDeadline) passed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.over
}

func (d *linkDeadline) set(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sets++; d.timer != nil {
		d.timer.Stop()
	}
	// Who waits looks at the channel that was there when it began: an earlier
	// deadline must reach it, too.
	if d.over == nil || ended(d.over) {
		d.over = make(chan struct{})
	}
	if t.IsZero() {
		return nil
	}
	over, set := d.over, d.sets
	if left := time.Until(t); left > 0 {
		d.timer = time.AfterFunc(left, func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.sets == set {
				close(over)
			}
		})
	} else {
		close(over)
	}
	return nil
}
