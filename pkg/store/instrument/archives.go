package instrument

import (
	"context"
	"iter"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// archives are those of a backend that is observed.
type archives struct {
	of store.Archives
	by *Instrument
}

func (a archives) Append(ctx context.Context, name store.ArchiveName, entry []byte) error {
	c := a.by.begin(ctx, opAppend)
	err := a.of.Append(c.ctx, name, entry)
	c.in(name)
	c.number(keySize, len(entry))
	c.end(err, resultOK)
	return err
}

func (a archives) Last(ctx context.Context, name store.ArchiveName) ([]byte, error) {
	c := a.by.begin(ctx, opLast)
	entry, err := a.of.Last(c.ctx, name)
	c.in(name)
	if err == nil {
		c.number(keySize, len(entry))
	}
	c.end(err, found)
	return entry, err
}

func (a archives) Entries(ctx context.Context, name store.ArchiveName) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		c := a.by.begin(ctx, opEntries)
		n, size, failed := 0, 0, error(nil)
		for entry, err := range a.of.Entries(c.ctx, name) {
			if failed = err; err == nil {
				n++
				size += len(entry)
			}
			if !yield(entry, err) {
				break
			}
		}
		c.in(name)
		c.number(keyCount, n)
		c.number(keySize, size)
		c.end(failed, resultOK)
	}
}
