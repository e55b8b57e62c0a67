package disk

import (
	"fmt"
	"sync"
	"time"

	"github.com/pktsvc/pktsvc/pkg/store"
)

const (
	// askEvery is how old the knowledge of the free space may be.
	askEvery = time.Second
	// askAfter is how many bytes may be stored on such knowledge: little beside
	// the reserve, which is 16 times as much unless it was made smaller.
	askAfter = DefaultReserve / 16
)

// room refuses what would go into the reserve. It asks the file system once in a
// while only.
type room struct {
	reserve int64                 // 0: nothing is refused
	free    func() (int64, error) // what there is
	told    func(error)           // of each change

	mu    sync.Mutex
	asked time.Time
	since int64 // bytes taken after that
	err   error // the answer
}

// take takes n bytes, or returns an error that matches store.ErrFull.
func (r *room) take(n int) error {
	if r.reserve <= 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.since += int64(n); r.since > min(askAfter, r.reserve/16) || time.Since(r.asked) >= askEvery {
		r.asked, r.since = time.Now(), 0
		before := r.err
		if r.err = r.ask(int64(n)); (r.err == nil) != (before == nil) {
			r.told(r.err)
		}
	}
	return r.err
}

func (r *room) ask(n int64) error {
	free, err := r.free()
	if err != nil {
		return nil //nolint:nilerr // a file system that does not tell is not full
	}
	if free-n < r.reserve {
		return fmt.Errorf("%w: %d bytes are free in its file system, and %d of them are the reserve; make room there", store.ErrFull, free, r.reserve)
	}
	return nil
}

// full reports whether the last answer was that there is no room.
func (r *room) full() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err != nil
}
