package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// Archives implements [store.Backend].
func (s *Store) Archives() (store.Archives, error) { return archives{s}, nil }

type archives struct{ *Store }

var seed = maphash.MakeSeed()

// Append implements [store.Archives].
func (a archives) Append(ctx context.Context, name store.ArchiveName, entry []byte) error {
	if err := name.Check(); err != nil {
		return err // its length would not fit into the key
	}
	lock := &a.stripes[maphash.String(seed, string(name))%stripes]
	lock.Lock()
	defer lock.Unlock()
	last, err := a.last(ctx, name)
	if err != nil {
		return err
	}
	if err := a.room.take(len(entry)); err != nil {
		return err
	}
	batch := a.db.NewBatch()
	if err := batch.Set(entryKey(name, last.sequence+1), entry, nil); err != nil {
		return err
	}
	return a.apply(batch)
}

// Last implements [store.Archives].
func (a archives) Last(ctx context.Context, name store.ArchiveName) ([]byte, error) {
	last, err := a.last(ctx, name)
	if err == nil && last.sequence == 0 {
		err = fmt.Errorf("archive %q: %w", name, store.ErrMissing)
	}
	return last.entry, err
}

// numbered is an entry with its number; 0: there is none.
type numbered struct {
	sequence uint64
	entry    []byte
}

func (a archives) last(ctx context.Context, name store.ArchiveName) (numbered, error) {
	if ctx.Err() != nil {
		return numbered{}, context.Cause(ctx)
	}
	last, err := run(a.failure, func() (last numbered, err error) {
		at, err := a.db.NewIter(&pebble.IterOptions{LowerBound: archivePrefix(name), UpperBound: archiveEnd(name)})
		if err != nil {
			return last, err
		}
		if at.Last() {
			last, err = entryAt(at)
		}
		return last, errors.Join(err, at.Close())
	})
	return last, reading(err)
}

func entryAt(at *pebble.Iterator) (numbered, error) {
	value, err := at.ValueAndErr()
	return numbered{sequenceOf(at.Key()), bytes.Clone(value)}, err
}

// pageBytes is how many bytes of entries are read at a time, and one entry more.
const pageBytes = 1 << 20

// Entries implements [store.Archives].
func (a archives) Entries(ctx context.Context, name store.ArchiveName) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for next := uint64(1); ; {
			page, err := a.entries(ctx, name, next)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, e := range page {
				if !yield(e.entry, nil) {
					return
				}
				next = e.sequence + 1
			}
			if len(page) == 0 {
				return
			}
		}
	}
}

// entries reads a page of entries, from a number on.
func (a archives) entries(ctx context.Context, name store.ArchiveName, from uint64) ([]numbered, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	page, err := run(a.failure, func() (page []numbered, err error) {
		size := 0
		err = a.scan(entryKey(name, from), archiveEnd(name), func(at *pebble.Iterator) (bool, error) {
			e, err := entryAt(at)
			page = append(page, e)
			size += len(e.entry)
			return size < pageBytes && len(page) < pageLength, err
		})
		return page, err
	})
	return page, reading(err)
}
