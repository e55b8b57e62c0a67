// Package cached puts a cache in memory before a [store.Backend] that is slow to
// read, such as one that other machines keep.
package cached

import (
	"bytes"
	"context"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// DefaultLimit is the size of a cache if nothing else is said, in bytes.
const DefaultLimit = 64 << 20

// Backend is a backend whose blocks are kept in memory when they have been read.
// Those that were not read for the longest time go first. Blocks never change, so
// what is kept is right for ever; it is kept only if its hash is. What is put is
// not kept: much is written that nobody reads soon.
//
// Several that want a missing block at a time share one Get of the backend below.
type Backend struct {
	store.Backend // below; Put, Replace, Codes and whatever else is not a read goes there

	limit int64

	// Held for moments, never while the backend below is asked.
	mu      sync.Mutex
	blocks  *simplelru.LRU[store.Code, []byte] // never changed once they are there
	flights map[store.Code]*flight
	stats   Stats
}

// Stats are counts since the cache was made, and what it holds now.
type Stats struct {
	Hits    uint64 // reads answered from memory
	Misses  uint64 // reads that asked the backend below
	Shared  uint64 // reads that waited for another's and took its block
	Evicted uint64 // blocks that had to go for others
	Blocks  int    // held now
	Bytes   int64  // of memory held now, with what it takes to find them; about
	Limit   int64  // for Bytes
}

// overhead is about what it takes to keep a block besides its bytes.
const overhead = 192

// New returns a cache of at most limit bytes before a backend, which is the
// cache's from then on: Close closes it. A limit of 0 is [DefaultLimit].
func New(below store.Backend, limit int64) *Backend {
	if limit <= 0 {
		limit = DefaultLimit
	}
	b := &Backend{Backend: below, limit: limit, flights: make(map[store.Code]*flight)}
	// The bound is in bytes, see keep; this one is never reached before it. There is
	// no error for a size above 0.
	b.blocks, _ = simplelru.NewLRU(int(limit/overhead)+1, func(_ store.Code, data []byte) {
		b.stats.Bytes -= cost(data)
		b.stats.Evicted++
	})
	return b
}

func cost(data []byte) int64 { return overhead + int64(len(data)) }

// Get implements [store.Backend].
func (b *Backend) Get(ctx context.Context, code store.Code) ([]byte, error) {
	for {
		b.mu.Lock()
		if data, there := b.blocks.Get(code); there {
			b.stats.Hits++
			b.mu.Unlock()
			return bytes.Clone(data), nil // the caller may change it
		}
		f := b.flights[code]
		if f == nil {
			f = &flight{landed: make(chan struct{})}
			b.flights[code] = f
			b.stats.Misses++
			b.mu.Unlock()
			return b.read(ctx, code, f)
		}
		f.others = true
		b.mu.Unlock()

		select {
		case <-f.landed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if f.abandoned {
			continue // it ended with the context of whoever read, not with this one
		}
		if f.err != nil {
			return nil, f.err
		}
		b.mu.Lock()
		b.stats.Shared++
		b.mu.Unlock()
		return bytes.Clone(f.data), nil
	}
}

// flight is one Get of the backend below, by the first who wanted the block.
type flight struct {
	others bool // somebody else waits; under Backend.mu

	landed    chan struct{} // closed when what follows is valid
	data      []byte        // never changed
	err       error
	abandoned bool // the context of the first has ended
}

// read asks the backend below, keeps the block, and gives it to those who wait.
func (b *Backend) read(ctx context.Context, code store.Code, f *flight) (data []byte, err error) {
	f.abandoned = true // whatever ends this early, a panic too, those who wait try themselves
	defer func() {
		b.mu.Lock()
		if b.flights[code] == f {
			delete(b.flights, code)
		}
		b.mu.Unlock()
		close(f.landed)
	}()

	data, err = b.Backend.Get(ctx, code)
	if err != nil {
		f.err, f.abandoned = err, ctx.Err() != nil
		return nil, err
	}
	// A block with another hash is for the service to report each time. Once kept it
	// would stay wrong after the store has been put right.
	keep := cost(data) <= b.limit && code.Class().Sum(data) == code
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.flights, code) // from here on nobody joins, so others does not change
	f.abandoned = false
	if keep || f.others {
		f.data = bytes.Clone(data) // data is the caller's
	}
	if keep {
		b.keep(code, f.data)
	}
	return data, nil
}

// keep makes room for a block and keeps it. b.mu is held.
func (b *Backend) keep(code store.Code, data []byte) {
	for b.stats.Bytes+cost(data) > b.limit {
		if _, _, ok := b.blocks.RemoveOldest(); !ok {
			break
		}
	}
	b.blocks.Add(code, data)
	b.stats.Bytes += cost(data)
}

// Has implements [store.Backend]. What is in memory is in the store.
func (b *Backend) Has(ctx context.Context, code store.Code) (bool, error) {
	b.mu.Lock()
	there := b.blocks.Contains(code)
	b.mu.Unlock()
	if there {
		return true, nil
	}
	return b.Backend.Has(ctx, code)
}

// Stats may be called at any time.
func (b *Backend) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stats
	s.Blocks, s.Limit = b.blocks.Len(), b.limit
	return s
}
