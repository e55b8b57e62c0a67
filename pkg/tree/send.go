package tree

import (
	"bytes"
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// sender stores blocks, many at a time: each is hashed, looked for and sent if it is
// missing by a goroutine of its own. Its methods may be called concurrently.
type sender struct {
	to       Store
	progress *Progress
	window   *window

	ctx   context.Context // ends at the first error, with it as its cause
	group *errgroup.Group // of all goroutines

	mu     sync.Mutex
	known  known                    // are in the store
	flying map[store.Code]*outgoing // are on their way
}

// outgoing is a block on its way. When done is closed it is in the store, or err is set
// and about to end the sender's context.
type outgoing struct {
	size int
	done chan struct{}
	code store.Code // complete when done is closed, as is err
	err  error
}

func newSender(ctx context.Context, to Store, o *Options) *sender {
	s := &sender{to: to, progress: o.Progress, window: newWindow(o.MaxBytes, o.MaxBlocks), flying: make(map[store.Code]*outgoing)}
	s.group, s.ctx = errgroup.WithContext(ctx)
	return s
}

// send begins to store a block, which it copies. It waits while too much is on its way.
func (s *sender) send(block []byte) (*outgoing, error) {
	leave, err := s.window.enter(s.ctx, len(block))
	if err != nil {
		return nil, err
	}
	block = bytes.Clone(block)
	out := &outgoing{size: len(block), done: make(chan struct{})}
	s.group.Go(func() error {
		defer close(out.done)
		out.err = s.store(out, block, leave)
		return out.err
	})
	return out, nil
}

// store stores a block. It calls leave when it holds the block no longer.
func (s *sender) store(out *outgoing, block []byte, leave func()) error {
	out.code = s.to.Class().Sum(block)

	s.mu.Lock()
	if s.known.has(out.code) {
		s.mu.Unlock()
		leave()
		s.progress.there(len(block))
		return nil
	}
	if same := s.flying[out.code]; same != nil {
		s.mu.Unlock()
		leave()
		select {
		case <-same.done:
			if same.err == nil {
				s.progress.there(len(block))
			}
			return same.err
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		}
	}
	s.flying[out.code] = out
	s.mu.Unlock()
	defer leave()

	there, err := contains(s.ctx, s.to, out.code)
	if err != nil {
		return err
	}
	if there {
		s.progress.there(len(block))
	} else {
		if err := add(s.ctx, s.to, out.code, block); err != nil {
			return err
		}
		s.progress.moved(len(block))
	}
	s.mu.Lock()
	delete(s.flying, out.code)
	s.known.add(out.code)
	s.mu.Unlock()
	return nil
}

// stored waits until a block is in the store.
func (s *sender) stored(out *outgoing) error { return s.wait(out.done, &out.err) }

// wait waits until something is done. Where that has failed the context ends at the same
// time, perhaps a little later.
func (s *sender) wait(done <-chan struct{}, failed *error) error {
	select {
	case <-done:
		if *failed == nil && s.ctx.Err() == nil {
			return nil
		}
		<-s.ctx.Done()
	case <-s.ctx.Done():
	}
	return context.Cause(s.ctx)
}
