package disk

import (
	"bytes"
	"cmp"
	"context"
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
	last, err := read(ctx, a.Store, archivePrefix(name), archiveEnd(name), func(at *pebble.Iterator) (sequence uint64, _ error) {
		if at.Last() {
			sequence = sequenceOf(at.Key())
		}
		return sequence, at.Error()
	})
	if err != nil {
		return err
	}
	if err := a.room.take(len(entry)); err != nil {
		return err
	}
	batch := a.db.NewBatch()
	if err := batch.Set(entryKey(name, last+1), entry, nil); err != nil {
		return err
	}
	return a.apply(batch)
}

// Last implements [store.Archives].
func (a archives) Last(ctx context.Context, name store.ArchiveName) ([]byte, error) {
	entry, err := read(ctx, a.Store, archivePrefix(name), archiveEnd(name), func(at *pebble.Iterator) ([]byte, error) {
		if !at.Last() {
			return nil, cmp.Or(at.Error(), store.ErrMissing)
		}
		value, err := at.ValueAndErr()
		return bytes.Clone(value), err
	})
	if err != nil {
		return nil, fmt.Errorf("archive %q: %w", name, err)
	}
	return entry, nil
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

// numbered is an entry with its number.
type numbered struct {
	sequence uint64
	entry    []byte
}

// entries reads a page of entries, from a number on.
func (a archives) entries(ctx context.Context, name store.ArchiveName, from uint64) ([]numbered, error) {
	return read(ctx, a.Store, entryKey(name, from), archiveEnd(name), func(at *pebble.Iterator) (page []numbered, _ error) {
		size := 0
		for valid := at.First(); valid && size < pageBytes && len(page) < pageLength; valid = at.Next() {
			value, err := at.ValueAndErr()
			if err != nil {
				return nil, err
			}
			page = append(page, numbered{sequenceOf(at.Key()), bytes.Clone(value)})
			size += len(value)
		}
		return page, at.Error()
	})
}
