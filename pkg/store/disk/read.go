package disk

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// read calls use with an iterator over the keys from one on and below another. What use
// returns must not refer to what belongs to the iterator.
func read[T any](ctx context.Context, s *Store, from, below []byte, use func(at *pebble.Iterator) (T, error)) (T, error) {
	var none T
	if ctx.Err() != nil {
		return none, context.Cause(ctx)
	}
	result, err := run(s.failure, func() (result T, err error) {
		at, err := s.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: below})
		if err != nil {
			return none, err
		}
		defer func() {
			if p := recover(); p != nil {
				if !isDamage(p) {
					panic(p) // at is not closed: who knows which locks are held
				}
				err = fmt.Errorf("%w: a file of values is damaged or missing", store.ErrCorrupt)
				s.events.damaged(err.Error(), s.options.Log)
			}
			err = errors.Join(err, at.Close())
		}()
		return use(at)
	})
	if err != nil {
		return none, reading(err)
	}
	return result, nil
}

// isDamage tells one panic of the engine from all others, with which the store fails. A
// file of values that is missing, or not whole, cannot be opened; when the engine means
// to report that, it stumbles over the kind of file. None of its locks is held then, and
// an iterator can still be closed. (The engine's own Get would never be.)
func isDamage(panicked any) bool {
	text, _ := panicked.(string)
	return strings.HasPrefix(text, "unknown metadata type: <nil>")
}

// reading tells errors of damaged files from others.
func reading(err error) error {
	if err != nil && pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	return err
}
