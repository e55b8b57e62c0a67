package tree

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path"

	"golang.org/x/sync/errgroup"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// unfinishedName is where a file is written until it is complete. It depends on what
// the file is to be, so that a later Get finds what an earlier one had of it.
func unfinishedName(at, content string) string {
	dir, name := path.Split(at)
	sum := store.BLAKE3.Sum([]byte(name + "\x00" + content)).Hash()
	return dir + unfinishedPrefix + hex.EncodeToString(sum[:16])
}

// output is a file that is being written. One goroutine does, but for fetch.
type output struct {
	getter *getter
	at     string
	ref    store.Ref

	old       *os.File // what has the name now, and the right size; nil: nothing
	new       *os.File // nil as long as old has been right
	newName   string
	resumed   bool            // new has something of an earlier time
	buffer    []byte          // to compare with
	fetching  *errgroup.Group // of fetch
	sameUntil uint64          // old is right up to here, if new is nil
}

func (g *getter) writeFile(ctx context.Context, at string, d store.Dirent) (err error) {
	meta, err := ParseMetadata(d.Meta)
	if err != nil {
		return malformed("%v", err)
	}
	o := &output{getter: g, at: at, ref: dataOf(d)}
	if o.ref.Span > math.MaxInt64 {
		return overLimit("%d bytes", o.ref.Span)
	}
	if err := o.openOld(); err != nil {
		return err
	}
	defer o.close()
	fetching, fileCtx := errgroup.WithContext(ctx)
	o.fetching = fetching
	err = g.reader.pieces(fileCtx, o.ref, func(p piece) error { return o.piece(fileCtx, p) })
	if failed := fetching.Wait(); failed != nil { // which may have ended pieces
		err = failed
	}
	if err != nil {
		return err
	}
	if o.old == nil {
		err = o.ensureNew() // it is empty
	}
	if err == nil {
		err = o.finish(meta)
	}
	return err
}

func (o *output) close() {
	for _, f := range []*os.File{o.old, o.new} {
		if f != nil {
			f.Close()
		}
	}
}

// openOld opens what has the file's name already, if it could be the file.
func (o *output) openOld() error {
	root := o.getter.root
	info, err := root.Lstat(o.at)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !mayGo(info):
		return inTheWay(o.at, info, "a file")
	case !info.Mode().IsRegular() || info.Size() != int64(o.ref.Span): //nolint:gosec // it was checked
		return nil
	}
	if o.old, err = root.Open(o.at); errors.Is(err, fs.ErrPermission) {
		o.old, err = nil, nil // it can be replaced all the same
	}
	return err
}

// ensureNew opens the new file, with what the old one has shown to be right.
func (o *output) ensureNew() (err error) {
	if o.new != nil {
		return nil
	}
	encoded, err := o.ref.AppendBinary(nil)
	if err != nil {
		return err
	}
	root := o.getter.root
	o.newName = unfinishedName(o.at, string(encoded))
	info, err := root.Lstat(o.newName)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return inTheWay(o.newName, info, "a file")
	case err == nil:
		o.resumed = info.Size() > 0
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if o.new, err = root.OpenFile(o.newName, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	if err := o.new.Truncate(int64(o.ref.Span)); err != nil { //nolint:gosec // it was checked
		return err
	}
	if o.sameUntil > 0 {
		_, err = io.Copy(io.NewOffsetWriter(o.new, 0), io.NewSectionReader(o.old, 0, int64(o.sameUntil))) //nolint:gosec // at most its size
	}
	return err
}

// piece sees to it that a piece of the file is there, or will be when fetching is done.
func (o *output) piece(ctx context.Context, p piece) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	progress := o.getter.options.Progress
	if o.old != nil {
		if data, ok := o.has(o.old, &p); ok {
			if p.ref.Type == store.RefBlock {
				progress.there(len(data))
			}
			progress.read(int64(p.size)) //nolint:gosec // at most the span
			if o.new == nil {
				o.sameUntil = p.at + p.size
				return nil
			}
			return o.write(&p, data)
		}
	}
	if err := o.ensureNew(); err != nil {
		return err
	}
	if o.resumed {
		if data, ok := o.has(o.new, &p); ok {
			if p.ref.Type == store.RefBlock {
				progress.there(len(data))
			}
			progress.read(int64(p.size)) //nolint:gosec // at most the span
			return nil
		}
	}
	switch p.ref.Type {
	case store.RefLiteral:
		progress.read(int64(p.size)) //nolint:gosec // at most the span
		return o.write(&p, p.ref.Literal[p.from:p.from+p.size])
	case store.RefRun:
		return o.run(ctx, &p)
	}
	leave, err := o.getter.window.enter(ctx, max(int(p.ref.Span), leastCharge)) //nolint:gosec // at most Limits.Block
	if err != nil {
		return err
	}
	o.fetching.Go(func() error {
		defer leave()
		return o.fetch(ctx, &p)
	})
	return nil
}

// has returns a piece of a block as a file has it, if that is right.
func (o *output) has(f *os.File, p *piece) (data []byte, ok bool) {
	var right func([]byte) bool
	switch {
	case p.size > MaxChunk: // not made here; the buffers of many files stay small
		return nil, false
	case p.whole():
		right = func(data []byte) bool { return p.ref.Code.Class().Sum(data) == p.ref.Code }
	case p.ref.Type == store.RefLiteral:
		right = func(data []byte) bool { return bytes.Equal(data, p.ref.Literal[p.from:p.from+p.size]) }
	default: // the hash of a part is not known; runs are written faster than compared
		return nil, false
	}
	if uint64(cap(o.buffer)) < p.size {
		o.buffer = make([]byte, max(p.size, min(o.ref.Span, MaxChunk)))
	}
	data = o.buffer[:p.size]
	if _, err := f.ReadAt(data, int64(p.at)); err != nil { //nolint:gosec // at most the span
		return nil, false
	}
	return data, right(data)
}

func (o *output) write(p *piece, data []byte) error {
	_, err := o.new.WriteAt(data, int64(p.at)) //nolint:gosec // at most the span
	return err
}

// fetch gets a piece from the store and writes it. Zeros are a hole of the file, where
// nothing else was.
func (o *output) fetch(ctx context.Context, p *piece) error {
	data, err := o.getter.recent.piece(ctx, p, o.getter.options.Progress)
	if err != nil {
		return err
	}
	o.getter.options.Progress.read(int64(p.size)) //nolint:gosec // at most the span
	if !o.resumed && zeros(data) {
		return nil
	}
	return o.write(p, data)
}

func zeros(data []byte) bool { return len(bytes.TrimLeft(data, "\x00")) == 0 }

// run writes a run. Zeros are a hole of the file, where nothing else was.
func (o *output) run(ctx context.Context, p *piece) error {
	o.getter.options.Progress.read(int64(p.size)) //nolint:gosec // at most the span
	if p.ref.Run == 0 && !o.resumed {
		return nil
	}
	some := bytes.Repeat([]byte{p.ref.Run}, int(min(p.size, MaxChunk))) //nolint:gosec // it is small
	for part := *p; part.size > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(part.size, uint64(len(some)))
		if err := o.write(&part, some[:n]); err != nil {
			return err
		}
		part.at += n
		part.size -= n
	}
	return nil
}

// finish gives the file what is said of it, and its name.
func (o *output) finish(meta Metadata) error {
	root := o.getter.root
	name := o.at
	if o.new != nil {
		name = o.newName
		mode := fs.FileMode(0o644)
		if meta.HasMode {
			mode = meta.Mode
		}
		if err := o.new.Chmod(mode); err != nil {
			return err
		}
		if o.getter.options.Durable {
			if err := o.new.Sync(); err != nil {
				return err
			}
		}
	} else if meta.HasMode {
		if err := o.old.Chmod(meta.Mode); err != nil {
			return err
		}
	}
	if !meta.Modified.IsZero() {
		if err := root.Chtimes(name, meta.Modified, meta.Modified); err != nil {
			return err
		}
	}
	if o.new == nil {
		return nil
	}
	return root.Rename(name, o.at)
}
