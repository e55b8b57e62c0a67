package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"sync"
	"syscall"
	"unicode/utf8"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// maxFinishing is how many files and directories may have been read to their end and
// not be stored yet.
const maxFinishing = 256

// node is an entry that may still be on its way to the store. When done is closed the
// entry is complete, and everything that it refers to is in the store, or err is set and
// about to end the sender's context.
type node struct {
	dirent store.Dirent
	done   chan struct{}
	err    error
}

// putter walks a directory. One goroutine does; those that finish what it has read
// never wait for it, nor for one that began later.
type putter struct {
	sender  *sender
	options *Options
	root    *os.Root
	notice  func(path string, err error)

	finishing   chan struct{} // one token each
	cutting     sync.Mutex    // who has it waits for the store alone
	lastLeftOut error
}

// finish lets f complete a node in the background.
func (p *putter) finish(n *node, f func() error) error {
	select {
	case p.finishing <- struct{}{}:
	case <-p.sender.ctx.Done():
		return context.Cause(p.sender.ctx)
	}
	p.sender.group.Go(func() error {
		defer func() { <-p.finishing }()
		defer close(n.done)
		n.err = f()
		return n.err
	})
	return nil
}

// leaveOut tells of something that is not stored, unless everything has ended.
func (p *putter) leaveOut(at string, err error) error {
	if p.sender.ctx.Err() != nil {
		return context.Cause(p.sender.ctx)
	}
	p.lastLeftOut = err
	p.notice(at, err)
	return nil
}

// entry begins to store one entry of a directory. It returns nil for one that is left out.
func (p *putter) entry(at, name string, depth int) (*node, error) {
	if err := checkName(name); err != nil {
		return nil, p.leaveOut(at, err)
	}
	info, err := p.root.Lstat(at)
	if err != nil {
		return nil, p.leaveOut(at, err)
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		if depth >= p.options.Limits.Depth {
			return nil, p.leaveOut(at, overLimit("over %d directories in each other", p.options.Limits.Depth))
		}
		return p.directory(at, name, depth)
	case mode.IsRegular():
		return p.file(func() (*os.File, error) {
			// If it has become a pipe, opening it does not wait for who writes to it.
			return p.root.OpenFile(at, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		}, at, name)
	case mode&fs.ModeSymlink != 0:
		return p.link(at, name)
	default:
		return nil, p.leaveOut(at, fmt.Errorf("%w (%v)", ErrSpecial, mode.Type()))
	}
}

func (p *putter) directory(at, name string, depth int) (*node, error) {
	dir, err := p.root.Open(at)
	if err != nil {
		return nil, p.leaveOutRoot(at, err)
	}
	info, err := dir.Stat()
	var names []string
	if err == nil {
		names, err = dir.Readdirnames(-1)
	}
	dir.Close()
	if err != nil {
		return nil, p.leaveOutRoot(at, err)
	}
	slices.Sort(names)
	nodes := make([]*node, 0, len(names))
	for _, child := range names {
		n, err := p.entry(path.Join(at, child), child, depth+1)
		if err != nil {
			return nil, err
		}
		if n != nil {
			nodes = append(nodes, n)
		}
	}
	n := &node{done: make(chan struct{}), dirent: store.Dirent{
		Type: store.DirentDirectory, Name: name, Meta: metadataOf(info).String(),
	}}
	return n, p.finish(n, func() error {
		ref, err := p.entries(nodes)
		n.dirent.Block = &ref
		p.options.Progress.directory()
		return err
	})
}

// leaveOutRoot is leaveOut, but of the directory that is to be stored an error is
// that of all.
func (p *putter) leaveOutRoot(at string, err error) error {
	if at == "." {
		return err
	}
	return p.leaveOut(at, err)
}

// entries stores the data of a directory when all that is in it is stored.
func (p *putter) entries(nodes []*node) (store.Ref, error) {
	var data []byte
	for i, n := range nodes {
		if err := p.sender.wait(n.done, &n.err); err != nil {
			return store.Ref{}, err
		}
		var err error
		if data, err = n.dirent.AppendBinary(data); err != nil {
			return store.Ref{}, err
		}
		nodes[i] = nil
	}
	l := &list{sender: p.sender}
	if len(data) <= MinChunk { // as it would be cut
		if len(data) > 0 {
			if err := l.add(data); err != nil {
				return store.Ref{}, err
			}
		}
		return l.end()
	}
	p.cutting.Lock() // the buffers of chunkers are large
	defer p.cutting.Unlock()
	if _, err := putData(l, bytes.NewReader(data), new(Progress)); err != nil {
		return store.Ref{}, err
	}
	return l.end()
}

func (p *putter) link(at, name string) (*node, error) {
	target, err := p.root.Readlink(at)
	if err == nil {
		err = checkTarget(target)
	}
	if err == nil && !utf8.ValidString(target) {
		err = fmt.Errorf("%w: the target %q is not UTF-8", ErrName, target)
	}
	if err != nil {
		return nil, p.leaveOut(at, err)
	}
	// Without a time, since Get cannot give it one: a copy would be another tree.
	meta := Metadata{Target: target}
	n := &node{done: make(chan struct{}), dirent: store.Dirent{Type: store.DirentLink, Name: name, Meta: meta.String()}}
	close(n.done)
	p.options.Progress.link()
	return n, nil
}

// file begins to store a file: it is read when file returns.
func (p *putter) file(open func() (*os.File, error), at, name string) (*node, error) {
	f, err := open()
	if err != nil {
		return nil, p.leaveOut(at, err)
	}
	defer f.Close()
	for attempt := 1; ; attempt++ {
		before, err := f.Stat()
		if err == nil && !before.Mode().IsRegular() {
			err = ErrSpecial
		}
		if err != nil {
			return nil, p.leaveOut(at, err)
		}
		l := &list{sender: p.sender}
		read, err := putData(l, f, p.options.Progress)
		var after fs.FileInfo
		if err == nil {
			after, err = f.Stat()
		}
		if err != nil {
			return nil, p.leaveOut(at, err)
		}
		if read != before.Size() || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
			if attempt == 1 {
				if _, err := f.Seek(0, io.SeekStart); err == nil {
					p.options.Progress.read(-read)
					continue
				}
			}
			if err := p.leaveOut(at, fmt.Errorf("%w: it had %d bytes, and has %d", ErrChanged, before.Size(), after.Size())); err != nil {
				return nil, err
			}
		}
		n := &node{done: make(chan struct{}), dirent: store.Dirent{Name: name, Meta: metadataOf(before).String()}}
		return n, p.finish(n, func() error {
			ref, err := l.end()
			n.dirent.Block = &ref
			p.options.Progress.file()
			return err
		})
	}
}

// putData appends what r reads to a list, in chunks, and returns how many bytes that was.
func putData(l *list, r io.Reader, progress *Progress) (n int64, err error) {
	c, err := newChunker(r)
	if err != nil {
		return 0, err
	}
	defer c.release()
	for {
		chunk, err := c.next()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if err := l.add(chunk); err != nil {
			return n, err
		}
		n += int64(len(chunk))
		progress.read(int64(len(chunk)))
	}
}
