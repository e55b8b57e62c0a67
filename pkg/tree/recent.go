package tree

import (
	"context"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// recentCharge is what a block that is kept takes besides its bytes.
const recentCharge = 512

// recent fetches blocks, and keeps those that were wanted last: in a file of zeros it is
// one block again and again. Who wants a block that is on its way waits for that. Its
// methods may be called concurrently.
type recent struct {
	reader *reader
	most   int // bytes that are kept

	mu     sync.Mutex
	bytes  int                                // that are kept, with what they are charged
	kept   *simplelru.LRU[store.Code, []byte] // never changed once they are there
	flying map[store.Code]*incoming
}

// incoming is a block on its way. When done is closed it is there, or err is.
type incoming struct {
	done  chan struct{}
	block []byte
	err   error
}

// newRecent divides what may be held between what is kept and a window for what is under
// way.
func newRecent(r *reader, o *Options) (*recent, *window) {
	most := o.MaxBytes / 4
	f := &recent{reader: r, most: most, flying: make(map[store.Code]*incoming)}
	f.kept, _ = simplelru.NewLRU(most/recentCharge+1, func(_ store.Code, block []byte) { // it fails for sizes below 1
		f.bytes -= len(block) + recentCharge
	})
	return f, newWindow(o.MaxBytes-most, o.MaxBlocks)
}

// piece returns the bytes of a piece of a block, which are not to be changed. It waits for
// who fetches the same one. It counts what is moved, and what need not be.
func (f *recent) piece(ctx context.Context, p *piece, progress *Progress) ([]byte, error) {
	for {
		f.mu.Lock()
		if block, ok := f.kept.Get(p.ref.Code); ok {
			f.mu.Unlock()
			return taken(block, p, progress.there)
		}
		in := f.flying[p.ref.Code]
		if in == nil {
			in = &incoming{done: make(chan struct{})}
			f.flying[p.ref.Code] = in
			f.mu.Unlock()
			f.fetch(ctx, p.ref.Code, in)
			if in.err != nil {
				return nil, in.err
			}
			return taken(in.block, p, progress.moved)
		}
		f.mu.Unlock()
		select {
		case <-in.done:
			if in.err == nil {
				return taken(in.block, p, progress.there)
			}
			// It may have failed for another file's sake.
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
}

func (f *recent) fetch(ctx context.Context, code store.Code, in *incoming) {
	in.block, in.err = get(ctx, f.reader.from, code)
	f.mu.Lock()
	delete(f.flying, code)
	if in.err == nil {
		f.keep(code, in.block)
	}
	f.mu.Unlock()
	close(in.done)
}

// keep keeps a block instead of those that were wanted longest ago. mu is held.
func (f *recent) keep(code store.Code, block []byte) {
	charge := len(block) + recentCharge
	if charge > f.most {
		return
	}
	f.kept.Add(code, block)
	for f.bytes += charge; f.bytes > f.most; {
		f.kept.RemoveOldest()
	}
}

// taken returns the bytes of a piece of its block, and counts that.
func taken(block []byte, p *piece, count func(n int)) ([]byte, error) {
	data, err := p.cut(block)
	if err == nil {
		count(len(data))
	}
	return data, err
}
