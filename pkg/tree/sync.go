package tree

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// windowLength is how many hash codes are compared by one checksum: a list of so many
// has 135 KB.
const windowLength = 4096

// Sync copies the blocks of one store that another does not have. It finds them by
// checksums of hash codes: where these are equal nothing is listed, so that equal
// stores of N blocks cost some N/4096 small answers of each. When it returns all blocks
// that were there when it began are in the other store, durable.
//
// When it fails, or is killed, it can be run again. The stores must have the same class.
func Sync(ctx context.Context, from, to Store, options Options) error {
	if from.Class() != to.Class() {
		return fmt.Errorf("%w: one has %v, the other %v", store.ErrOtherClass, from.Class(), to.Class())
	}
	o := options.filled()
	for range rounds {
		epoch := o.Epoch()
		s := &syncer{from: from, to: to, options: o, window: newWindow(o.MaxBytes, o.MaxBlocks)}
		if err := s.run(ctx); err != nil {
			return err
		}
		if err := flush(ctx, to); err != nil {
			return err
		}
		if o.Epoch() == epoch {
			return nil
		}
	}
	return unstable()
}

// syncer compares, in one goroutine, and copies, each block in one of its own.
type syncer struct {
	from, to Store
	options  *Options
	window   *window
	group    *errgroup.Group
}

func (s *syncer) run(ctx context.Context) error {
	s.group, ctx = errgroup.WithContext(ctx)
	s.group.Go(func() error {
		at := store.Code{} // all up to here have been compared; zero: nothing
		for {
			next, err := s.step(ctx, at)
			if err != nil || next.IsZero() {
				return err
			}
			at = next
		}
	})
	return s.group.Wait()
}

// step compares what follows a code, and returns how far; zero: it was the end.
func (s *syncer) step(ctx context.Context, at store.Code) (next store.Code, err error) {
	ours, theirs, err := s.checksums(ctx, at)
	if err != nil {
		return store.Code{}, err
	}
	s.options.Progress.windowsCompared.Add(1)
	if ours == theirs || ours.Last.IsZero() {
		return ours.Last, nil
	}
	s.options.Progress.windowsDifferent.Add(1)

	list, err := s.list(ctx, s.from, at)
	if err != nil {
		return store.Code{}, err
	}
	var there []store.Code
	if !theirs.Last.IsZero() {
		if there, err = s.list(ctx, s.to, at); err != nil {
			return store.Code{}, err
		}
	}
	// Where the other list is full nothing is known of what is behind its end.
	known := func(store.Code) bool { return true }
	if len(there) == windowLength {
		end := there[len(there)-1]
		known = func(code store.Code) bool { return code.Compare(end) <= 0 }
	}
	for _, code := range list {
		if !known(code) {
			return there[len(there)-1], nil
		}
		for len(there) > 0 && there[0].Compare(code) < 0 && len(there) > 1 {
			there = there[1:]
		}
		if len(there) > 0 && there[0] == code {
			continue
		}
		if err := s.copy(ctx, code); err != nil {
			return store.Code{}, err
		}
	}
	if len(list) == 0 {
		return store.Code{}, fmt.Errorf("%w: a checksum of hash codes up to %v, and no list of them", store.ErrAnswer, ours.Last)
	}
	next = list[len(list)-1]
	if len(list) < windowLength && next == ours.Last {
		return store.Code{}, nil // that was all
	}
	return next, nil
}

// checksums asks both stores at the same time.
func (s *syncer) checksums(ctx context.Context, at store.Code) (ours, theirs store.Checksum, err error) {
	g, ctx := errgroup.WithContext(ctx)
	sum := func(of Store, to *store.Checksum) func() error {
		return func() (err error) {
			*to, err = ask(ctx, func(ctx context.Context) (store.Checksum, error) {
				return of.Checksum(ctx, at, !at.IsZero(), windowLength)
			})
			return err
		}
	}
	g.Go(sum(s.from, &ours))
	g.Go(sum(s.to, &theirs))
	return ours, theirs, g.Wait()
}

func (s *syncer) list(ctx context.Context, of Store, at store.Code) ([]store.Code, error) {
	return ask(ctx, func(ctx context.Context) ([]store.Code, error) {
		return of.HashCodes(ctx, at, !at.IsZero(), windowLength)
	})
}

// copy begins to copy a block. It waits while many are on their way.
func (s *syncer) copy(ctx context.Context, code store.Code) error {
	leave, err := s.window.enter(ctx, MaxChunk)
	if err != nil {
		return err
	}
	s.group.Go(func() error {
		defer leave()
		block, err := get(ctx, s.from, code)
		if err != nil {
			return err
		}
		if err := add(ctx, s.to, code, block); err != nil {
			return err
		}
		s.options.Progress.moved(len(block))
		return nil
	})
	return nil
}
