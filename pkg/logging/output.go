package logging

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults of [NewOutput].
const (
	DefaultOutputSize = 1 << 20
	syncTimeout       = time.Second
)

// Output is where log lines leave the process. Who logs never waits for it: lines
// are written by another goroutine, and when that is held up (a pipe that nobody
// reads, a disk that hangs) or fails (a disk that is full, a pipe that is closed)
// they are lost, and counted. It is a zapcore.WriteSyncer. Its methods may be
// called concurrently.
type Output struct {
	w    io.Writer // touched by the writing goroutine alone
	size int
	lost atomic.Uint64

	mu      sync.Mutex
	pending []byte
	writing chan struct{} // closed when all is written; nil while nobody writes
}

// NewOutput writes lines to w, of which up to size bytes may wait; 0 is 1 MiB. It
// has a goroutine only while something waits.
func NewOutput(w io.Writer, size int) *Output {
	orDefault(&size, DefaultOutputSize)
	return &Output{w: w, size: size}
}

// Write takes a line, or loses it when too much waits. It does not block and
// returns no error.
func (o *Output) Write(line []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.pending)+len(line) > o.size {
		o.lost.Add(1)
		return len(line), nil
	}
	o.pending = append(o.pending, line...)
	if o.writing == nil {
		o.writing = make(chan struct{})
		go o.write()
	}
	return len(line), nil
}

// write writes what waits until there is nothing more.
func (o *Output) write() {
	var lines []byte
	for {
		o.mu.Lock()
		lines, o.pending = o.pending, lines[:0]
		if len(lines) == 0 {
			close(o.writing)
			o.writing = nil
			o.mu.Unlock()
			return
		}
		o.mu.Unlock()
		if n, err := o.w.Write(lines); err != nil {
			o.lost.Add(uint64(bytes.Count(lines[n:], []byte("\n"))))
		}
	}
}

// Sync waits until what waits is written, for up to a second.
func (o *Output) Sync() error {
	o.mu.Lock()
	writing, waits := o.writing, len(o.pending)
	o.mu.Unlock()
	if writing == nil {
		return nil
	}
	limit := time.NewTimer(syncTimeout)
	defer limit.Stop()
	select {
	case <-writing:
		return nil
	case <-limit.C:
		return fmt.Errorf("logging: the output takes nothing for %v, with %d bytes waiting", syncTimeout, waits)
	}
}

// Lost is how many lines could not be written, up to now.
func (o *Output) Lost() uint64 { return o.lost.Load() }
