package tree

import (
	"bytes"
	"context"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// Copy writes the data of a file to w, in order. Several blocks are fetched at a time;
// each is checked before it is written.
func Copy(ctx context.Context, from Store, file store.Dirent, w io.Writer, options Options) error {
	if file.Type != store.DirentFile {
		return malformed("the root is no file")
	}
	o := options.filled()
	ref := dataOf(file)
	if ref.Span > o.Limits.Bytes {
		return overLimit("the file has %d bytes, and %d is the most", ref.Span, o.Limits.Bytes)
	}
	c := &copier{reader: &reader{from, o.Limits}, options: o, coming: make(chan *arriving, o.MaxBlocks)}
	c.recent, c.window = newRecent(c.reader, o)
	c.group, ctx = errgroup.WithContext(ctx)
	c.group.Go(func() error {
		defer close(c.coming)
		return c.reader.pieces(ctx, ref, func(p piece) error { return c.fetch(ctx, p) })
	})
	c.group.Go(func() error { return c.write(ctx, w) })
	if err := c.group.Wait(); err != nil {
		return err
	}
	o.Progress.file()
	return nil
}

// copier fetches pieces in some order and writes them in theirs. Whoever is to be
// written next has its place in the window already.
type copier struct {
	reader  *reader
	options *Options
	recent  *recent
	window  *window
	group   *errgroup.Group
	coming  chan *arriving // in order
}

// arriving is a piece on its way. When done is closed data are there, or err is.
type arriving struct {
	piece piece
	data  []byte
	err   error
	done  chan struct{}
	leave func()
}

func (c *copier) fetch(ctx context.Context, p piece) (err error) {
	a := &arriving{piece: p, done: make(chan struct{}), leave: func() {}}
	switch p.ref.Type {
	case store.RefBlock:
		if a.leave, err = c.window.enter(ctx, max(int(p.ref.Span), leastCharge)); err != nil { //nolint:gosec // at most Limits.Block
			return err
		}
		c.group.Go(func() error {
			defer close(a.done)
			a.data, a.err = c.recent.piece(ctx, &p, c.options.Progress)
			return a.err
		})
	case store.RefLiteral: // all of it is held, however little is wanted
		if a.leave, err = c.window.enter(ctx, len(p.ref.Literal)); err != nil {
			return err
		}
		fallthrough
	default:
		close(a.done)
	}
	select {
	case c.coming <- a:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *copier) write(ctx context.Context, w io.Writer) error {
	for a := range c.coming {
		select {
		case <-a.done:
			if a.err != nil {
				return a.err
			}
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := a.writeTo(ctx, w)
		a.leave()
		if err != nil {
			return err
		}
		c.options.Progress.read(int64(a.piece.size)) //nolint:gosec // at most the span
	}
	return nil
}

func (a *arriving) writeTo(ctx context.Context, w io.Writer) error {
	p := &a.piece
	switch p.ref.Type {
	case store.RefLiteral:
		a.data = p.ref.Literal[p.from : p.from+p.size]
	case store.RefRun:
		some := bytes.Repeat([]byte{p.ref.Run}, int(min(p.size, MaxChunk))) //nolint:gosec // it is small
		for left := p.size; left > 0 && ctx.Err() == nil; {
			n := min(left, uint64(len(some)))
			if _, err := w.Write(some[:n]); err != nil {
				return err
			}
			left -= n
		}
		return ctx.Err()
	}
	_, err := w.Write(a.data)
	return err
}
