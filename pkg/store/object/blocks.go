package object

import (
	"context"
	"errors"
	"fmt"
	"iter"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// blocks is the backend, without a cache.
type blocks struct {
	*bucket
	layout
	archives *archives
	noLists  error // why there are no archives; nil if there are

	// known are codes of blocks that are there. Nothing here removes blocks; should
	// somebody else, a Get that misses one forgets it.
	known *lru.Cache[store.Code, struct{}]

	// putting has one Put of a block at a time go to the object store: without
	// conditional writes two would both see that it is not there.
	putting turns[store.Code]
}

func isMissing(err error) bool { return errors.Is(err, store.ErrMissing) }

// Class implements [store.Backend].
func (b *blocks) Class() store.Class { return b.class }

// Put implements [store.Backend]. A block that is not known to be there is asked
// for first: that is one request more for a new block, but cheaper than sending it
// in vain.
func (b *blocks) Put(ctx context.Context, code store.Code, data []byte) (added bool, err error) {
	if err := b.own(code); err != nil {
		return false, err
	}
	if b.isKnown(code) {
		return false, nil
	}
	done, err := b.putting.take(ctx, code)
	if err != nil {
		return false, err
	}
	defer done()
	if b.isKnown(code) { // somebody else was faster
		return false, nil
	}
	there, err := b.has(ctx, b.block(code))
	if err != nil {
		return false, err
	}
	if !there {
		if added, err = b.create(ctx, b.block(code), data); err != nil {
			return false, err
		}
	}
	if !added {
		b.counts.avoided.Add(1)
	}
	b.known.Add(code, struct{}{})
	return added, nil
}

// Replace implements [store.Backend].
func (b *blocks) Replace(ctx context.Context, code store.Code, data []byte) error {
	if err := b.own(code); err != nil {
		return err
	}
	return b.replace(ctx, b.block(code), data)
}

func (b *blocks) isKnown(code store.Code) bool {
	_, known := b.known.Get(code) // and is so for longer
	if known {
		b.counts.known.Add(1)
	}
	return known
}

func (b *blocks) own(code store.Code) error {
	if c := code.Class(); c != b.class {
		return fmt.Errorf("%w: %v, not %v", store.ErrOtherClass, b.class, c)
	}
	return nil
}

// Get implements [store.Backend].
func (b *blocks) Get(ctx context.Context, code store.Code) ([]byte, error) {
	if err := b.own(code); err != nil {
		return nil, fmt.Errorf("%w: %w", store.ErrMissing, err)
	}
	data, err := b.get(ctx, b.block(code))
	switch {
	case err == nil:
		b.known.Add(code, struct{}{})
	case isMissing(err):
		b.known.Remove(code)
	}
	return data, err
}

// Has implements [store.Backend]. It does not ask for a block that is known to be
// there.
func (b *blocks) Has(ctx context.Context, code store.Code) (bool, error) {
	if b.own(code) != nil {
		return false, nil
	}
	if b.isKnown(code) {
		return true, nil
	}
	there, err := b.has(ctx, b.block(code))
	if there {
		b.known.Add(code, struct{}{})
	}
	return there, err
}

// Codes implements [store.Backend]: a list of the bucket, in pages. Objects that
// are no blocks are passed over.
func (b *blocks) Codes(ctx context.Context, start store.Code) iter.Seq2[store.Code, error] {
	return func(yield func(store.Code, error) bool) {
		if err := b.own(start); err != nil {
			yield(store.Code{}, err)
			return
		}
		for rest, err := range b.list(ctx, b.blockPrefix, b.beforeBlock(start)) {
			if err != nil {
				yield(store.Code{}, err)
				return
			}
			code, ok := b.code(rest)
			if !ok || code.Compare(start) < 0 {
				continue
			}
			if !yield(code, nil) {
				return
			}
		}
	}
}

// Length implements [store.Backend]. It lists all blocks, a request for each
// thousand.
func (b *blocks) Length(ctx context.Context) (n uint64, err error) {
	for rest, err := range b.list(ctx, b.blockPrefix, "") {
		if err != nil {
			return 0, err
		}
		if _, ok := b.code(rest); ok {
			n++
		}
	}
	return n, nil
}

// Sync implements [store.Backend]. Put and Append return when the object store has
// answered, and it answers when what was written is durable, so nothing is left
// to do.
func (b *blocks) Sync(context.Context) error { return nil }

// Archives implements [store.Backend].
func (b *blocks) Archives() (store.Archives, error) {
	if b.noLists != nil {
		return nil, b.noLists
	}
	return b.archives, nil
}

// Close implements [store.Backend].
func (b *blocks) Close() error {
	b.close()
	return nil
}
