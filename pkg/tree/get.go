package tree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// maxFiles is how many files are written, or looked for by their lists, at a time.
const maxFiles = 64

// Get writes the file or the directory that an entry stands for to a path. What the
// store says cannot lead out of it, by no name and by no link. Permissions and times
// of modification are restored, of links neither.
//
// A file gets its name when it is complete, and each of its blocks was checked. A file
// that is there already is replaced; of one of the right size only the blocks that
// differ are fetched. What else is in the directory stays. When Get fails, or is killed,
// it can be run again, and goes on with what it had.
//
// Errors match ErrFormat, ErrName, ErrLimit and ErrInTheWay, or are those of the store
// and of the file system.
func Get(ctx context.Context, from Store, root store.Dirent, to string, options Options) error {
	o := options.filled()
	g := &getter{
		options: o, reader: &reader{from, o.Limits}, files: make(chan struct{}, maxFiles),
	}
	g.recent, g.window = newRecent(g.reader, o)
	dir, name := filepath.Split(filepath.Clean(to))
	switch root.Type {
	case store.DirentDirectory:
		if err := os.MkdirAll(to, 0o777); err != nil { //nolint:gosec // the umask decides
			return err
		}
		dir, name = to, "."
	case store.DirentFile:
		if dir == "" {
			dir = "."
		}
	default:
		return malformed("the root is neither a file nor a directory")
	}
	var err error
	if g.root, err = os.OpenRoot(dir); err != nil {
		return err
	}
	defer g.root.Close()
	return g.run(ctx, name, root)
}

// getter writes a tree. One goroutine walks it; each file is written by one of its
// own, and each block fetched by one of its own, for which the file waits.
type getter struct {
	options *Options
	reader  *reader
	recent  *recent
	root    *os.Root
	window  *window
	group   *errgroup.Group
	files   chan struct{} // one token for each file that is being written

	// When all is written, directories get their permissions and times: before,
	// one might not be writable, and is modified.
	directories []directory
}

type directory struct {
	at   string
	meta Metadata
}

func (g *getter) run(ctx context.Context, at string, root store.Dirent) error {
	g.group, ctx = errgroup.WithContext(ctx)
	g.group.Go(func() error {
		if root.Type == store.DirentFile {
			if span := dataOf(root).Span; span > g.options.Limits.Bytes {
				return overLimit("the file has %d bytes, and %d is the most", span, g.options.Limits.Bytes)
			}
			return g.file(ctx, at, root)
		}
		return g.directory(ctx, &walk{reader: g.reader}, at, root)
	})
	if err := g.group.Wait(); err != nil {
		return err
	}
	for i := len(g.directories) - 1; i >= 0; i-- { // what is inside before what it is in
		d := &g.directories[i]
		if d.meta.HasMode {
			if err := g.root.Chmod(d.at, d.meta.Mode); err != nil {
				return err
			}
		}
		if !d.meta.Modified.IsZero() {
			if err := g.root.Chtimes(d.at, d.meta.Modified, d.meta.Modified); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g *getter) directory(ctx context.Context, w *walk, at string, dir store.Dirent) error {
	meta, err := ParseMetadata(dir.Meta)
	if err != nil {
		return fmt.Errorf("%q: %w", at, malformed("%v", err))
	}
	if err := g.makeDirectory(at); err != nil {
		return err
	}
	g.directories = append(g.directories, directory{at, meta})
	g.options.Progress.directory()
	return w.directory(ctx, at, dir, func(d store.Dirent) error {
		at := path.Join(at, d.Name)
		switch d.Type {
		case store.DirentDirectory:
			return g.directory(ctx, w, at, d)
		case store.DirentFile:
			return g.file(ctx, at, d)
		case store.DirentLink:
			return g.link(at, d)
		}
		g.options.Notice(at, fmt.Errorf("%w: a link to another entry", ErrSpecial))
		return nil
	})
}

func (g *getter) makeDirectory(at string) error {
	info, err := g.root.Lstat(at)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return g.root.Mkdir(at, 0o700)
	case err != nil:
		return err
	case !info.IsDir(): // a link, too: it may lead anywhere
		return inTheWay(at, info, "a directory")
	case info.Mode().Perm()&0o700 != 0o700:
		return g.root.Chmod(at, info.Mode().Perm()|0o700)
	}
	return nil
}

// mayGo reports whether a file or a link may take the place of what is there: not of a
// directory, which would take along what is in it, nor of a device or a pipe.
func mayGo(info fs.FileInfo) bool {
	return info.Mode().IsRegular() || info.Mode().Type() == fs.ModeSymlink
}

func inTheWay(at string, info fs.FileInfo, wanted string) error {
	return fmt.Errorf("%q is there already and is not %s (%v): %w: remove it", at, wanted, info.Mode().Type(), ErrInTheWay)
}

func (g *getter) link(at string, d store.Dirent) error {
	meta, err := ParseMetadata(d.Meta)
	if err == nil {
		err = checkTarget(meta.Target)
	}
	if err != nil {
		return fmt.Errorf("%q: %w", at, malformed("%v", err))
	}
	defer g.options.Progress.link()
	info, err := g.root.Lstat(at)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return g.root.Symlink(meta.Target, at)
	case err != nil:
		return err
	case !mayGo(info):
		return inTheWay(at, info, "a link")
	case info.Mode()&fs.ModeSymlink != 0:
		if target, err := g.root.Readlink(at); err == nil && target == meta.Target {
			return nil
		}
	}
	unfinished := unfinishedName(at, meta.Target)
	if err := g.root.Remove(unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := g.root.Symlink(meta.Target, unfinished); err != nil {
		return err
	}
	return g.root.Rename(unfinished, at)
}

// file begins to write a file. It waits while many are being written.
func (g *getter) file(ctx context.Context, at string, d store.Dirent) error {
	select {
	case g.files <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	g.group.Go(func() error {
		defer func() { <-g.files }()
		if err := g.writeFile(ctx, at, d); err != nil {
			return fmt.Errorf("%q: %w", at, err)
		}
		g.options.Progress.file()
		return nil
	})
	return nil
}
