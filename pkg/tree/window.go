package tree

import (
	"context"

	"golang.org/x/sync/semaphore"
)

// What may be under way to or from a store at a time, by default.
const (
	DefaultBytes  = 32 << 20
	DefaultBlocks = 256
)

// leastCharge is what any block is counted with while it is asked for: it may be
// larger than a store makes believe.
const leastCharge = 512 << 10

// window bounds what is under way at a time. Who has blocks in it never waits for
// room in it, so that it always empties.
type window struct {
	size          int64
	bytes, blocks *semaphore.Weighted
}

func newWindow(bytes, blocks int) *window {
	return &window{int64(bytes), semaphore.NewWeighted(int64(bytes)), semaphore.NewWeighted(int64(blocks))}
}

// enter waits for room for a block of n bytes and returns what gives it back. A block
// that is larger than the window has it alone.
func (w *window) enter(ctx context.Context, n int) (leave func(), err error) {
	if err := w.blocks.Acquire(ctx, 1); err != nil {
		return nil, context.Cause(ctx)
	}
	bytes := min(int64(n), w.size)
	if err := w.bytes.Acquire(ctx, bytes); err != nil {
		w.blocks.Release(1)
		return nil, context.Cause(ctx)
	}
	return func() {
		w.bytes.Release(bytes)
		w.blocks.Release(1)
	}, nil
}
