package tree

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// Options are what [Put], [Get], [Check] and [Sync] have in common. The zero value works.
type Options struct {
	MaxBytes  int // that are under way at a time (32 MiB)
	MaxBlocks int // that are under way at a time (256)
	Limits    Limits

	// Progress counts what is done. Default: nobody looks.
	Progress *Progress

	// Notice is told of what was left out, and why; Put goes on without it. The error
	// matches ErrSpecial, ErrName, ErrChanged (not left out), or is that of reading it.
	// It may be called concurrently and must not block.
	Notice func(path string, err error)

	// Epoch is a number that changes whenever a connection to the store was lost. What
	// the store answered before that it may have forgotten since, or it may be another
	// store; so Put and Sync look again whether all is there. Default: it never changes.
	Epoch func() uint64

	// Durable lets Get write each file through to the disk before it has its name.
	Durable bool
}

func (o Options) filled() *Options {
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultBytes
	}
	if o.MaxBlocks <= 0 {
		o.MaxBlocks = DefaultBlocks
	}
	o.Limits = o.Limits.filled()
	if o.Progress == nil {
		o.Progress = new(Progress)
	}
	if o.Notice == nil {
		o.Notice = func(string, error) {}
	}
	if o.Epoch == nil {
		o.Epoch = func() uint64 { return 0 }
	}
	return &o
}

// rounds is how often Put and Sync begin anew since a connection was lost.
const rounds = 5

// Put stores a file or a directory and returns an entry for it, which is the root of
// the tree. It reads everything, and sends the blocks that are missing. When it
// returns everything is durable. Symbolic links are stored as links, but path itself
// is followed. The same files make the same tree, whenever and by whomever.
//
// When it fails, or is killed, the blocks that were sent stay; it can be run again.
func Put(ctx context.Context, to Store, path string, options Options) (store.Dirent, error) {
	return putAll(ctx, to, options.filled(), func(s *sender, o *Options) (*node, error) {
		return putPath(s, o, path)
	})
}

// PutReader stores what r reads as a file, without a name and metadata.
func PutReader(ctx context.Context, to Store, r io.Reader, options Options) (store.Dirent, error) {
	o := options.filled()
	epoch := o.Epoch()
	root, err := putOnce(ctx, to, o, func(s *sender, o *Options) (*node, error) {
		l := &list{sender: s}
		if _, err := putData(l, r, o.Progress); err != nil {
			return nil, err
		}
		ref, err := l.end()
		n := &node{dirent: store.Dirent{Block: &ref}, done: make(chan struct{})}
		close(n.done)
		o.Progress.file()
		return n, err
	})
	if err != nil || o.Epoch() == epoch {
		return root, err
	}
	for range rounds { // it cannot be read once more
		stable, err := lookAgain(ctx, to, o, root)
		if err != nil {
			return root, fmt.Errorf("the connection was lost, and not all is there: store it again: %w", err)
		}
		if stable {
			return root, nil
		}
	}
	return root, unstable()
}

// lookAgain looks whether all of a tree is there, and makes it durable. It reports
// whether the connection stayed the same meanwhile: else it may be gone again.
func lookAgain(ctx context.Context, to Store, o *Options, root store.Dirent) (stable bool, err error) {
	epoch := o.Epoch()
	looking := *o
	looking.Progress = nil // what is looked for once more is counted once
	if err := Check(ctx, to, root, looking); err != nil {
		return false, err
	}
	if err := flush(ctx, to); err != nil {
		return false, err
	}
	return o.Epoch() == epoch, nil
}

func unstable() error { return fmt.Errorf("%w: %d times", ErrUnstable, rounds) }

// putAll puts until everything is there.
func putAll(ctx context.Context, to Store, o *Options, put func(*sender, *Options) (*node, error)) (store.Dirent, error) {
	for range rounds {
		epoch := o.Epoch()
		round := *o
		round.Progress = o.Progress.round()
		root, err := putOnce(ctx, to, &round, put)
		if err != nil || o.Epoch() == epoch {
			return root, err
		}
		// Looking is cheaper than reading everything anew.
		if stable, err := lookAgain(ctx, to, o, root); stable && err == nil {
			return root, nil
		}
		if ctx.Err() != nil {
			return store.Dirent{}, context.Cause(ctx)
		}
		round.Progress.forget()
	}
	return store.Dirent{}, unstable()
}

func putOnce(ctx context.Context, to Store, o *Options, put func(*sender, *Options) (*node, error)) (store.Dirent, error) {
	s := newSender(ctx, to, o)
	var root *node
	s.group.Go(func() (err error) {
		if root, err = put(s, o); err != nil {
			return err
		}
		return s.wait(root.done, &root.err)
	})
	if err := s.group.Wait(); err != nil {
		return store.Dirent{}, err
	}
	return root.dirent, flush(ctx, to)
}

// putPath begins to store what is at a path.
func putPath(s *sender, o *Options, path string) (*node, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	p := &putter{sender: s, options: o, notice: o.Notice, finishing: make(chan struct{}, maxFinishing)}
	if info.IsDir() {
		if p.root, err = os.OpenRoot(path); err != nil {
			return nil, err
		}
		defer p.root.Close()
		return p.directory(".", info.Name(), 0)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", path, ErrSpecial)
	}
	p.notice = func(string, error) {} // of a file alone that it cannot be read is the operation's error
	n, err := p.file(func() (*os.File, error) { return os.Open(path) }, path, info.Name())
	switch {
	case err == nil && n == nil:
		return nil, fmt.Errorf("%s: %w", path, p.lastLeftOut)
	case err == nil && p.lastLeftOut != nil:
		o.Notice(path, p.lastLeftOut)
	}
	return n, err
}
