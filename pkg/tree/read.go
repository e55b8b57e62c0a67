package tree

import (
	"context"
	"fmt"
	"iter"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// reader reads trees, which it does not trust. Its methods may be called concurrently.
type reader struct {
	from   Store
	limits Limits
}

// piece is a part of some data that comes from one place.
type piece struct {
	at, size uint64 // where it is in the data, and how long
	ref      store.Ref
	from     uint64 // of ref: a block, a run or a literal
}

// whole reports whether the piece is all of a block, so that its hash is known.
func (p *piece) whole() bool { return p.ref.Type == store.RefBlock && p.size == p.ref.Span }

// pieces calls f with the pieces of the data that a reference stands for, in order.
// It asks for the lists of references, and calls f only where spans add up so far.
func (r *reader) pieces(ctx context.Context, ref store.Ref, f func(piece) error) error {
	at := uint64(0)
	return r.part(ctx, ref, 0, ref.Span, nested{}, func(p piece) error {
		p.at = at
		at += p.size
		return f(p)
	})
}

// nested is what a reference is inside of.
type nested struct {
	levels int
	bytes  int // of lists, which are all held
}

// part calls f with the pieces of size bytes of a reference's data, from a place on.
func (r *reader) part(ctx context.Context, ref store.Ref, from, size uint64, in nested, f func(piece) error) error {
	if size == 0 {
		return nil // whatever it is, nothing of it is wanted
	}
	if in.levels++; in.levels > r.limits.Levels {
		return overLimit("lists of references in over %d levels", r.limits.Levels)
	}
	switch {
	case ref.Indirect && ref.Type != store.RefBlock:
		return malformed("a list of references that is no block")
	case ref.Indirect:
		return r.indirect(ctx, ref, from, size, in, f)
	case ref.Type == store.RefPart:
		of := *ref.Of
		if ref.Offset > of.Span || ref.Span > of.Span-ref.Offset {
			return malformed("a part of %d bytes from %d on, in %d bytes", ref.Span, ref.Offset, of.Span)
		}
		return r.part(ctx, of, ref.Offset+from, size, in, f)
	case ref.Type == store.RefBlock && ref.Span > uint64(r.limits.Block): //nolint:gosec // it is positive
		return overLimit("the block %v has %d bytes, and %d is the most", ref.Code, ref.Span, r.limits.Block)
	}
	return f(piece{size: size, ref: ref, from: from})
}

func (r *reader) indirect(ctx context.Context, ref store.Ref, from, size uint64, in nested, f func(piece) error) error {
	block, err := get(ctx, r.from, ref.Code)
	if err != nil {
		return err
	}
	if in.bytes += len(block); in.bytes > r.limits.Block {
		return overLimit("the list of references %v, with those that it is in, has %d bytes, and %d is the most", ref.Code, in.bytes, r.limits.Block)
	}
	left := ref.Span // of the list from here on
	for len(block) > 0 {
		child, n, err := store.ConsumeRef(block)
		if err != nil {
			return malformed("the block %v: %v", ref.Code, err)
		}
		block = block[n:]
		if child.Span > left {
			return malformed("the list of references %v stands for more than %d bytes", ref.Code, ref.Span)
		}
		left -= child.Span
		if from >= child.Span {
			from -= child.Span
			continue
		}
		wanted := min(size, child.Span-from)
		if err := r.part(ctx, child, from, wanted, in, f); err != nil {
			return err
		}
		size -= wanted
		from = 0
	}
	if left > 0 || size > 0 {
		return malformed("the list of references %v stands for %d bytes less than %d", ref.Code, left, ref.Span)
	}
	return nil
}

// block returns the bytes of a piece of a block.
func (r *reader) block(ctx context.Context, p *piece) ([]byte, error) {
	block, err := get(ctx, r.from, p.ref.Code)
	if err != nil {
		return nil, err
	}
	return p.cut(block)
}

// cut returns the bytes of a piece of its block, which it does not trust.
func (p *piece) cut(block []byte) ([]byte, error) {
	if uint64(len(block)) != p.ref.Span {
		return nil, malformed("the block %v has %d bytes, and the reference says %d", p.ref.Code, len(block), p.ref.Span)
	}
	return block[p.from : p.from+p.size], nil
}

// data returns all data of a reference, which are limit bytes at most.
func (r *reader) data(ctx context.Context, ref store.Ref, limit int) ([]byte, error) {
	if ref.Span > uint64(max(limit, 0)) { //nolint:gosec // it is not negative
		return nil, overLimit("a directory has %d bytes, and there is room for %d", ref.Span, limit)
	}
	var data []byte
	err := r.pieces(ctx, ref, func(p piece) error {
		switch p.ref.Type {
		case store.RefLiteral:
			data = append(data, p.ref.Literal[p.from:p.from+p.size]...)
		case store.RefRun:
			for range p.size {
				data = append(data, p.ref.Run)
			}
		default:
			block, err := r.block(ctx, &p)
			if err != nil {
				return err
			}
			data = append(data, block...)
		}
		return nil
	})
	return data, err
}

// Entries yields the entries of a directory. Their names are names of files, and each
// comes once. After an error nothing comes. The errors are those of the store, and such
// that match ErrFormat, ErrName and ErrLimit.
func Entries(ctx context.Context, from Store, dir store.Dirent, limits Limits) iter.Seq2[store.Dirent, error] {
	return func(yield func(store.Dirent, error) bool) {
		limits := limits.filled()
		r := &reader{from, limits}
		data, err := r.data(ctx, dataOf(dir), limits.Directory)
		if err != nil {
			yield(store.Dirent{}, err)
			return
		}
		for d, err := range dirents(data) {
			if !yield(d, err) {
				return
			}
		}
	}
}

// dirents yields the entries in the data of a directory, one by one: entries take
// many times the room of the bytes that a hostile store can describe them with.
func dirents(data []byte) iter.Seq2[store.Dirent, error] {
	return func(yield func(store.Dirent, error) bool) {
		seen := make(map[string]struct{})
		for len(data) > 0 {
			d, n, err := store.ConsumeDirent(data)
			if err != nil {
				err = malformed("%v", err)
			} else if err = checkName(d.Name); err == nil {
				if _, again := seen[d.Name]; again {
					err = malformed("the name %q is there twice", d.Name)
				}
			}
			if err != nil {
				yield(store.Dirent{}, err)
				return
			}
			seen[d.Name] = struct{}{}
			data = data[n:]
			if !yield(d, nil) {
				return
			}
		}
	}
}

// walk is what is counted while a tree is walked. One goroutine does.
type walk struct {
	reader         *reader
	depth          int
	held           int    // bytes of directories from the root to here
	entries, bytes uint64 // so far
}

// directory calls f with the entries of a directory; f may call directory in turn.
func (w *walk) directory(ctx context.Context, at string, dir store.Dirent, f func(d store.Dirent) error) error {
	l := &w.reader.limits
	if w.depth >= l.Depth {
		return fmt.Errorf("%q: %w", at, overLimit("over %d directories in each other", l.Depth))
	}
	data, err := w.reader.data(ctx, dataOf(dir), l.Directory-w.held)
	if err != nil {
		return fmt.Errorf("%q: %w", at, err)
	}
	w.depth++
	w.held += len(data)
	defer func() {
		w.depth--
		w.held -= len(data)
	}()
	for d, err := range dirents(data) {
		if err == nil {
			err = w.count(d)
		}
		if err != nil {
			return fmt.Errorf("%q: %w", at, err)
		}
		if err := f(d); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (w *walk) count(d store.Dirent) error {
	l := &w.reader.limits
	if w.entries++; w.entries > l.Entries {
		return overLimit("over %d entries", l.Entries)
	}
	if d.Type == store.DirentFile {
		span := dataOf(d).Span
		if span > l.Bytes-w.bytes {
			return overLimit("%q and the files before it have over %d bytes", d.Name, l.Bytes)
		}
		w.bytes += span
	}
	return nil
}
