package object

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// archives keeps each entry as an object, under the number that follows that of
// the entry before it. Whoever creates the object has the number: that needs
// conditional writes, and gives all processes the same order.
type archives struct {
	*bucket
	layout

	// tails are numbers of entries that are there, of each archive the highest that is
	// known. The end is looked for from there on.
	tails *lru.Cache[store.ArchiveName, uint64]

	// appending has those of this process append one after another: they would get into
	// each other's way.
	appending turns[store.ArchiveName]
}

const (
	numTails = 1024

	// maxConflicts ends an Append that never gets a number, as with an object store that
	// says of each that it is there.
	maxConflicts = 1000
)

func newArchives(b *bucket, l layout) (*archives, error) {
	tails, err := lru.New[store.ArchiveName, uint64](numTails)
	return &archives{bucket: b, layout: l, tails: tails}, err
}

// Append implements [store.Archives].
func (a *archives) Append(ctx context.Context, name store.ArchiveName, entry []byte) error {
	if err := name.Check(); err != nil {
		return err
	}
	done, err := a.appending.take(ctx, name)
	if err != nil {
		return err
	}
	defer done()
	last, _, err := a.last(ctx, name)
	for conflicts := 0; err == nil; conflicts++ {
		if conflicts == maxConflicts {
			return fmt.Errorf("archive %q: %w: others were faster %d times", name, ErrUnavailable, conflicts)
		}
		if last == math.MaxUint64 {
			return fmt.Errorf("archive %q: %w: its last entry has the highest number", name, store.ErrFull)
		}
		last++
		var created bool
		if created, err = a.create(ctx, a.entry(name, last), entry); created {
			a.tails.Add(name, last)
			return nil
		}
		if err == nil { // another process has that number: where is the end now?
			a.counts.conflicts.Add(1)
			a.tails.Add(name, last)
			last, _, err = a.last(ctx, name)
		}
	}
	return err
}

// last returns the number of the last entry; numbers begin with 1.
func (a *archives) last(ctx context.Context, name store.ArchiveName) (last uint64, found bool, err error) {
	after := ""
	if last, found = a.tails.Get(name); found {
		after = a.entry(name, last)
	}
	for rest, err := range a.list(ctx, a.archive(name), after) {
		if err != nil {
			return 0, false, err
		}
		if n, ok := a.sequence(rest); ok {
			last, found = n, true
		}
	}
	if found {
		a.tails.Add(name, last)
	}
	return last, found, nil
}

// Last implements [store.Archives].
func (a *archives) Last(ctx context.Context, name store.ArchiveName) ([]byte, error) {
	if err := name.Check(); err != nil {
		return nil, err
	}
	last, found, err := a.last(ctx, name)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("archive %q: %w", name, store.ErrMissing)
	}
	entry, err := a.get(ctx, a.entry(name, last))
	if isMissing(err) {
		a.tails.Remove(name)
		return nil, lost(name, last)
	}
	return entry, err
}

// Entries implements [store.Archives]: a list of the bucket, and a request for each
// entry.
func (a *archives) Entries(ctx context.Context, name store.ArchiveName) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		if err := name.Check(); err != nil {
			yield(nil, err)
			return
		}
		for rest, err := range a.list(ctx, a.archive(name), "") {
			if err != nil {
				yield(nil, err)
				return
			}
			n, ok := a.sequence(rest)
			if !ok {
				continue
			}
			entry, err := a.get(ctx, a.entry(name, n))
			if isMissing(err) {
				err = lost(name, n)
			}
			if !yield(entry, err) || err != nil {
				return
			}
		}
	}
}

// errLost is not store.ErrMissing, which would say that the archive is empty.
var errLost = errors.New("entry removed from the object store by somebody else")

func lost(name store.ArchiveName, sequence uint64) error {
	return fmt.Errorf("archive %q, number %d: %w", name, sequence, errLost)
}
