package stream

import (
	"sync/atomic"
	"time"
)

// mark is when a batch of packets was handed to the stream. It is shared by the requests
// whose packets are in it, and is there as long as somebody knows one of them.
type mark struct{ at atomic.Int64 }

// set notes that it is now, before the bytes can have reached the peer, or that it was
// later than noted. at is now, if somebody has looked; else 0. A nil mark: nobody wants to know.
func (m *mark) set(at moment) {
	if m == nil {
		return
	}
	if at == 0 {
		at = now()
	}
	m.at.Store(int64(at))
}

func (m *mark) get() moment {
	if m == nil {
		return 0
	}
	return moment(m.at.Load())
}

// since is the time from a moment until then; less than 0 where one is not known.
func (m *mark) since(begun moment) time.Duration {
	at := m.get()
	if at == 0 || begun == 0 {
		return -1
	}
	return begun.until(at)
}

// marks are those of a connection's next batches. They are made some at a time, as many
// as are likely to be used: a mark keeps those beside it in memory.
type marks struct {
	rest []mark
	made int // last time
}

// next returns one that is not used yet.
func (ms *marks) next() *mark {
	if len(ms.rest) == 0 {
		ms.made = min(max(1, 16*ms.made), 128)
		ms.rest = make([]mark, ms.made)
	}
	m := &ms.rest[0]
	ms.rest = ms.rest[1:]
	return m
}
