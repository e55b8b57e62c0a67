package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// Put implements [store.Backend]. It returns when the system has the block or is about
// to: Sync makes it durable.
func (s *Store) Put(ctx context.Context, code store.Code, data []byte) (added bool, err error) {
	if code.Class() != s.options.Class {
		return false, fmt.Errorf("%w: %v, not %v", store.ErrOtherClass, s.options.Class, code.Class())
	}
	lock := &s.stripes[code.Hash()[0]]
	lock.Lock()
	defer lock.Unlock()
	if there, err := s.Has(ctx, code); err != nil || there {
		return false, err
	}
	if err := s.write(ctx, code, data); err != nil {
		return false, err
	}
	s.blocks.Add(1)
	s.bytes.Add(uint64(len(data)))
	return true, nil
}

// Replace implements [store.Backend]. The damaged block goes on taking its room.
func (s *Store) Replace(ctx context.Context, code store.Code, data []byte) error {
	if code.Class() != s.options.Class {
		return fmt.Errorf("%w: %v, not %v", store.ErrOtherClass, s.options.Class, code.Class())
	}
	return s.write(ctx, code, data)
}

// write writes a block and its entry in the index, which take the place of others.
func (s *Store) write(ctx context.Context, code store.Code, data []byte) error {
	if err := s.room.take(len(data)); err != nil {
		return err
	}
	release, err := s.beginWrite(ctx)
	if err != nil {
		return err
	}
	defer release()
	// data must not be read when Put has returned, so the copy is made here and not
	// in run.
	index := indexKey(code)
	batch := s.db.NewBatchWithSize(len(data) + 128)
	block := batch.SetDeferred(len(index), len(data))
	copy(block.Key, index)
	block.Key[0] = kindBlock
	copy(block.Value, data)
	if err := batch.Set(index, binary.AppendUvarint(nil, uint64(len(data))), nil); err != nil {
		return err
	}
	return s.apply(batch)
}

// beginWrite waits until few enough others hold a copy of what they write: the engine
// takes one after the other, and many copies would only take memory.
func (s *Store) beginWrite(ctx context.Context) (release func(), err error) {
	select {
	case s.writes <- struct{}{}:
		return func() { <-s.writes }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-s.failure.done:
		return nil, s.failure.err
	}
}

// apply writes a batch, which is the engine's from then on.
func (s *Store) apply(batch *pebble.Batch) error {
	_, err := run(s.failure, func() (struct{}, error) {
		err := s.db.Apply(batch, pebble.NoSync)
		if err == nil {
			err = batch.Close()
		}
		return struct{}{}, err
	})
	return err
}

// Get implements [store.Backend]. Where a file is damaged the error matches
// store.ErrCorrupt.
func (s *Store) Get(ctx context.Context, code store.Code) ([]byte, error) {
	data, there, err := s.value(ctx, blockKey(code))
	if err == nil && !there {
		err = store.ErrMissing
	}
	if err != nil {
		return nil, fmt.Errorf("%v: %w", code, err)
	}
	return data, nil
}

// Has implements [store.Backend].
func (s *Store) Has(ctx context.Context, code store.Code) (bool, error) {
	_, there, err := s.value(ctx, indexKey(code))
	return there, err
}

// value reads the value of a key, as a copy.
func (s *Store) value(ctx context.Context, key []byte) (value []byte, there bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, false, context.Cause(ctx)
	}
	value, err = run(s.failure, func() ([]byte, error) {
		value, closer, err := s.db.Get(key)
		if err != nil {
			return nil, err
		}
		data := make([]byte, len(value))
		copy(data, value)
		return data, closer.Close()
	})
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	return value, err == nil, reading(err)
}

// reading tells errors of damaged files from others.
func reading(err error) error {
	if err != nil && pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	return err
}

// pageLength is how many codes or entries are read at a time. Between pages nothing
// of the engine is held, however slowly they are taken.
const pageLength = 1000

// Codes implements [store.Backend].
func (s *Store) Codes(ctx context.Context, start store.Code) iter.Seq2[store.Code, error] {
	return func(yield func(store.Code, error) bool) {
		from := []byte{kindIndex}
		switch {
		case start.Class() > s.options.Class:
			return
		case start.Class() == s.options.Class:
			from = indexKey(start)
		}
		for {
			// Nothing is deleted, so one page after another is as good as all at once.
			keys, err := s.indexKeys(ctx, from)
			for _, key := range keys {
				code, err := store.NewCode(s.options.Class, key[1:])
				if !yield(code, err) || err != nil {
					return
				}
			}
			if err != nil {
				yield(store.Code{}, err)
				return
			}
			if len(keys) < pageLength {
				return
			}
			from = append(keys[len(keys)-1], 0)
		}
	}
}

// indexKeys reads a page of keys of the index. If there is an error there are none.
func (s *Store) indexKeys(ctx context.Context, from []byte) ([][]byte, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	keys, err := run(s.failure, func() (keys [][]byte, err error) {
		err = s.scan(from, above(kindIndex), func(at *pebble.Iterator) (bool, error) {
			keys = append(keys, append([]byte(nil), at.Key()...))
			return len(keys) < pageLength, nil
		})
		return keys, err
	})
	if err != nil {
		return nil, reading(err)
	}
	return keys, nil
}

// scan calls each with every key from one on and below another, until it returns
// false. It is for use in run.
func (s *Store) scan(from, below []byte, each func(*pebble.Iterator) (bool, error)) error {
	at, err := s.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: below})
	if err != nil {
		return err
	}
	for valid, more := at.First(), true; valid && more && err == nil; {
		if more, err = each(at); more && err == nil {
			valid = at.Next()
		}
	}
	return errors.Join(err, at.Close()) // which has the error of First and Next
}

// Length implements [store.Backend].
func (s *Store) Length(context.Context) (uint64, error) {
	return s.blocks.Load(), s.failure.get()
}

// Sync implements [store.Backend]. It waits for the log alone, which has everything
// that was put before.
func (s *Store) Sync(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	_, err := run(s.failure, func() (struct{}, error) {
		return struct{}{}, s.db.LogData(nil, pebble.Sync)
	})
	if err == nil {
		s.syncs.Add(1)
	}
	return err
}
