package disk

import (
	"bytes"
	"cmp"
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
	if err := s.own(code); err != nil {
		return false, err
	}
	index := indexKey(code)
	lock := &s.stripes[index[1]]
	lock.Lock()
	defer lock.Unlock()
	if there, err := s.Has(ctx, code); err != nil || there {
		return false, err
	}
	if err := s.write(ctx, index, data); err != nil {
		return false, err
	}
	s.blocks.Add(1)
	s.bytes.Add(uint64(len(data)))
	return true, nil
}

// Replace implements [store.Backend]. The damaged block goes on taking its room.
func (s *Store) Replace(ctx context.Context, code store.Code, data []byte) error {
	if err := s.own(code); err != nil {
		return err
	}
	return s.write(ctx, indexKey(code), data)
}

func (s *Store) own(code store.Code) error {
	if c := code.Class(); c != s.options.Class {
		return fmt.Errorf("%w: %v, not %v", store.ErrOtherClass, s.options.Class, c)
	}
	return nil
}

// write writes a block and its entry in the index, of which index is the key. They take the
// place of others.
func (s *Store) write(ctx context.Context, index, data []byte) error {
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
	key := blockKey(code)
	data, err := read(ctx, s, key, next(key), func(at *pebble.Iterator) ([]byte, error) {
		if !at.SeekPrefixGE(key) { // by which most files that do not have it are not looked into
			return nil, cmp.Or(at.Error(), store.ErrMissing)
		}
		value, err := at.ValueAndErr()
		return bytes.Clone(value), err
	})
	if pebble.IsCorruptionError(err) {
		// An iterator looks into all files that may have the key. Where one of them is
		// damaged the block may have been replaced in another.
		data, err = s.newest(key)
	}
	if err != nil {
		return nil, fmt.Errorf("%v: %w", code, err)
	}
	return data, nil
}

// newest looks for a value in one file after the other, until there is one.
func (s *Store) newest(key []byte) ([]byte, error) {
	data, err := run(s.failure, func() ([]byte, error) {
		value, closer, err := s.db.Get(key)
		if err != nil {
			return nil, err
		}
		return bytes.Clone(value), closer.Close()
	})
	return data, reading(err)
}

// Has implements [store.Backend].
func (s *Store) Has(ctx context.Context, code store.Code) (bool, error) {
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	_, err := run(s.failure, func() (struct{}, error) {
		// What the index says of a block is small, and so never in a file of values (see isDamage).
		_, closer, err := s.db.Get(indexKey(code))
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, closer.Close()
	})
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	return err == nil, reading(err)
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
			from = next(keys[len(keys)-1])
		}
	}
}

// indexKeys reads a page of keys of the index. If there is an error there are none.
func (s *Store) indexKeys(ctx context.Context, from []byte) ([][]byte, error) {
	return read(ctx, s, from, above(kindIndex), func(at *pebble.Iterator) (keys [][]byte, _ error) {
		for valid := at.First(); valid && len(keys) < pageLength; valid = at.Next() {
			keys = append(keys, bytes.Clone(at.Key()))
		}
		return keys, at.Error()
	})
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
