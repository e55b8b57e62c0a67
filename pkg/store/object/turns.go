package object

import (
	"context"
	"sync"
)

// turns lets those who want to do something with the same key do it one after
// another. The zero value works.
type turns[K comparable] struct {
	mu   sync.Mutex // held for moments
	busy map[K]chan struct{}
}

// take waits until nobody else has the key; done must be called then. The error is
// that of the context.
func (t *turns[K]) take(ctx context.Context, key K) (done func(), err error) {
	for {
		t.mu.Lock()
		other, taken := t.busy[key]
		if !taken {
			if t.busy == nil {
				t.busy = make(map[K]chan struct{})
			}
			over := make(chan struct{})
			t.busy[key] = over
			t.mu.Unlock()
			return func() {
				t.mu.Lock()
				delete(t.busy, key)
				t.mu.Unlock()
				close(over)
			}, nil
		}
		t.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
