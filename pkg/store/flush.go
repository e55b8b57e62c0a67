package store

import (
	"context"
	"sync"
)

// flusher lets many that wait for durability share one sync of the backend
// (group commit): while a sync runs, those that come are gathered for the next.
type flusher struct {
	sync   func(context.Context) error
	synced func(group int, err error) // told of each sync; may be nil

	mu      sync.Mutex
	running bool
	idle    sync.WaitGroup // run
	next    *flushGroup    // who waits for the sync after the running one; nil: nobody
}

type flushGroup struct {
	size int
	done chan struct{} // closed when err is set
	err  error
}

// flush returns when everything that was stored before the call is durable, or
// when ctx ends; the sync goes on then, for the others.
func (f *flusher) flush(ctx context.Context) error {
	f.mu.Lock()
	group := f.next
	if group == nil {
		// Not the group of a sync that runs: it may have begun before what this
		// caller wants to see durable was stored.
		group = &flushGroup{done: make(chan struct{})}
		f.next = group
	}
	group.size++
	if !f.running {
		f.running = true
		f.idle.Go(f.run)
	}
	f.mu.Unlock()

	select {
	case <-group.done:
		return group.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run syncs until nobody waits. There is one at most.
func (f *flusher) run() {
	for {
		f.mu.Lock()
		group := f.next
		f.next = nil
		if group == nil {
			f.running = false
			f.mu.Unlock()
			return
		}
		f.mu.Unlock()

		group.err = f.sync(context.Background()) // for all of them: no single one may stop it
		if f.synced != nil {
			f.synced(group.size, group.err)
		}
		close(group.done)
	}
}

// wait returns when no sync runs. flush must not be called meanwhile.
func (f *flusher) wait() { f.idle.Wait() }
