package stream

import (
	"fmt"
	"sync/atomic"
)

const (
	// requestMemory is what an accepted request is counted with beside its
	// payload: its record, its place in the table, the stack of its handler and
	// what observers keep of it. Measured with all observers it is 7 KiB.
	requestMemory = 8 << 10

	// uncountedSend is how large a send buffer may be without being counted, and
	// how many bytes of rejections may wait for a peer while the budget is used up.
	uncountedSend = 16 << 10
)

// Budget bounds the memory that connections take together for what their peers
// send: requests in flight, beginnings of packets, and answers that peers do not
// take. When it is used up, further requests are answered not ok with a text that
// begins with "busy", their payloads are dropped as they come, and a peer that
// does not even read those answers is cut off ([ErrOverload]). What has been
// accepted goes on, and the answers that this side waits for are read whatever
// they take; so the budget can be exceeded, by no more than those and the
// responses of requests accepted before.
//
// Give one Budget to many connections in Options.Budget. Its methods may be
// called concurrently, and do not block; a nil Budget is endless.
type Budget struct {
	limit int64
	used  atomic.Int64
}

// NewBudget returns a budget of so many bytes. It panics if limit is not positive.
func NewBudget(limit int) *Budget {
	if limit <= 0 {
		panic(fmt.Sprintf("stream: NewBudget(%d): want a positive number of bytes", limit))
	}
	return &Budget{limit: int64(limit)}
}

// Limit is how many bytes there are.
func (b *Budget) Limit() int { return int(b.limit) }

// Used is how many bytes are taken now. It is 0 when all connections have ended
// and their handlers have returned.
func (b *Budget) Used() int { return int(b.used.Load()) }

// take reports whether n bytes could be had. Where they could not, others at the same time
// see nothing of it.
func (b *Budget) take(n int) bool {
	for b != nil {
		used := b.used.Load()
		if used+int64(n) > b.limit {
			return false
		}
		if b.used.CompareAndSwap(used, used+int64(n)) {
			break
		}
	}
	return true
}

// force takes n bytes whether there are so many or not.
func (b *Budget) force(n int) {
	if b != nil {
		b.used.Add(int64(n))
	}
}

// giveBack returns what was taken.
func (b *Budget) giveBack(n int) { b.force(-n) }

// scarce reports whether another request might not be had.
func (b *Budget) scarce() bool { return b != nil && b.used.Load() > b.limit-requestMemory }
