package tree

import (
	"context"
	"errors"
	"fmt"
	"path"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Check looks whether all blocks of a tree are in a store. It fetches directories and
// asks for the rest. If one is missing the error matches [store.ErrMissing] and says
// of which file.
func Check(ctx context.Context, in Store, root store.Dirent, options Options) error {
	o := options.filled()
	c := &checker{
		reader: &reader{in, o.Limits}, window: newWindow(o.MaxBytes, o.MaxBlocks), progress: o.Progress,
		files: make(chan struct{}, maxFiles),
	}
	c.group, ctx = errgroup.WithContext(ctx)
	c.group.Go(func() error {
		if root.Type != store.DirentDirectory {
			return c.file(ctx, root.Name, root)
		}
		return c.directory(ctx, &walk{reader: c.reader}, root.Name, root)
	})
	return c.group.Wait()
}

// checker looks for blocks. One goroutine walks the tree, others ask.
type checker struct {
	reader   *reader
	window   *window
	progress *Progress
	group    *errgroup.Group
	files    chan struct{} // one token for each file whose list may have to be read

	mu   sync.Mutex
	seen known // asked for, and if it was missing all has failed
}

func (c *checker) directory(ctx context.Context, w *walk, at string, dir store.Dirent) error {
	return w.directory(ctx, at, dir, func(d store.Dirent) error {
		at := path.Join(at, d.Name)
		switch d.Type {
		case store.DirentDirectory:
			return c.directory(ctx, w, at, d)
		case store.DirentFile:
			return c.file(ctx, at, d)
		}
		return nil
	})
}

// file begins to look for the blocks of a file. It waits while many are looked for.
func (c *checker) file(ctx context.Context, at string, d store.Dirent) error {
	ref := dataOf(d)
	if !ref.Indirect || ref.Type != store.RefBlock {
		return c.pieces(ctx, at, ref)
	}
	if c.before(ref.Code) {
		return ctx.Err()
	}
	select {
	case c.files <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	c.group.Go(func() error {
		defer func() { <-c.files }()
		return c.list(ctx, at, ref)
	})
	return nil
}

// list looks for a list and what is in it. The store can look itself, and need not send
// lists.
func (c *checker) list(ctx context.Context, at string, ref store.Ref) error {
	leave, err := c.window.enter(ctx, 0)
	if err != nil {
		return err
	}
	there, err := ask(ctx, func(ctx context.Context) (bool, error) { return c.reader.from.ContainsIndirect(ctx, ref.Code) })
	leave()                                 // what is in the list needs room
	if errors.Is(err, stream.ErrRejected) { // it may have too many
		there, err = true, c.pieces(ctx, at, ref)
	}
	return c.found(at, ref.Code, there, err)
}

func (c *checker) pieces(ctx context.Context, at string, ref store.Ref) error {
	err := c.reader.pieces(ctx, ref, func(p piece) error {
		if p.ref.Type != store.RefBlock {
			return ctx.Err()
		}
		return c.block(ctx, at, p.ref.Code)
	})
	if err != nil {
		return fmt.Errorf("%q: %w", at, err)
	}
	return nil
}

// block asks for a block in the background, unless that has been done.
func (c *checker) block(ctx context.Context, at string, code store.Code) error {
	if c.before(code) {
		return ctx.Err()
	}
	leave, err := c.window.enter(ctx, 0)
	if err != nil {
		return err
	}
	c.group.Go(func() error {
		there, err := contains(ctx, c.reader.from, code)
		leave()
		return c.found(at, code, there, err)
	})
	return nil
}

// before reports whether a block was asked for, and notes that it is.
func (c *checker) before(code store.Code) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.seen.has(code)
	c.seen.add(code)
	return before
}

func (c *checker) found(at string, code store.Code, there bool, err error) error {
	switch {
	case err != nil:
		return err
	case !there:
		return fmt.Errorf("%q: %v, or a block that it refers to: %w", at, code, store.ErrMissing)
	}
	c.progress.there(0)
	return nil
}
