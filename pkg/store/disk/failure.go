package disk

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
)

// ErrFailed matches the errors of a store whose engine cannot go on: it could not
// write, or found that it contradicts itself. The store is of no use then, and holds
// its directory until the process ends. What Sync had answered for is in the
// directory.
var ErrFailed = errors.New("the store has failed, and must be opened by a new process")

// failure is the one way from working to failed.
type failure struct {
	once sync.Once
	done chan struct{} // closed when err is set
	err  error
}

func newFailure() *failure { return &failure{done: make(chan struct{})} }

// fail keeps the first cause.
func (f *failure) fail(cause error) {
	f.once.Do(func() {
		f.err = fmt.Errorf("%w: %w", ErrFailed, cause)
		close(f.done)
	})
}

func (f *failure) get() error {
	select {
	case <-f.done:
		return f.err
	default:
		return nil
	}
}

// freeze fails and never returns. The engine calls it, by its logger, in places
// where it must not go on, on any goroutine and with any locks: what waits for
// those then waits for ever. That is why nobody but run's goroutines may enter the
// engine.
func (f *failure) freeze(cause error) {
	f.fail(cause)
	select {}
}

// run calls use, which enters the engine, and returns what it does, or the failure
// as soon as there is one: use may then never end. It runs on a goroutine of its own
// and must not write to what its caller can see, but for what it returns.
func run[T any](f *failure, use func() (T, error)) (T, error) {
	var none T
	if err := f.get(); err != nil {
		return none, err
	}
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		defer func() {
			// The engine panics where it cannot write its log. Its locks may still be held.
			if p := recover(); p != nil {
				f.fail(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
			}
		}()
		value, err := use()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-f.done:
		return none, f.err
	}
}

// Failed is closed when the store has failed. Whoever has opened it should end then.
func (s *Store) Failed() <-chan struct{} { return s.failure.done }

// Err is why the store has failed, an error that matches ErrFailed, or nil if it has
// not.
func (s *Store) Err() error { return s.failure.get() }
