package tree

import (
	"errors"
	"fmt"
)

// Limits bound what a tree in a store may be, since the store may be hostile, and a
// few small blocks can describe a tree without end. A limit of zero is its default.
type Limits struct {
	Depth     int    // directories inside of each other (512)
	Levels    int    // lists of references inside of each other (16)
	Entries   uint64 // of all directories together (10 million)
	Bytes     uint64 // of all files together (4 TiB)
	Directory int    // bytes of directories that are held at a time: those from the root to where it is (64 MiB)
	Block     int    // bytes of a block, and of lists of references inside of each other (16 MiB)
}

// Defaults of [Limits].
const (
	DefaultDepth     = 512
	DefaultLevels    = 16
	DefaultEntries   = 10_000_000
	DefaultTreeBytes = 4 << 40
	DefaultDirectory = 64 << 20
	DefaultBlock     = 16 << 20
)

func (l Limits) filled() Limits {
	for _, x := range []struct {
		v   *int
		def int
	}{
		{&l.Depth, DefaultDepth}, {&l.Levels, DefaultLevels},
		{&l.Directory, DefaultDirectory}, {&l.Block, DefaultBlock},
	} {
		if *x.v <= 0 {
			*x.v = x.def
		}
	}
	if l.Entries == 0 {
		l.Entries = DefaultEntries
	}
	if l.Bytes == 0 {
		l.Bytes = DefaultTreeBytes
	}
	return l
}

// The conditions that errors of this package match with errors.Is.
var (
	// ErrLimit: the tree exceeds one of [Limits].
	ErrLimit = errors.New("over the limit")
	// ErrFormat: blocks are not what the references to them say.
	ErrFormat = errors.New("malformed tree")
	// ErrName: an entry's name cannot be a file's name.
	ErrName = errors.New("not a name of a file")
	// ErrSpecial: neither a file, nor a directory, nor a symbolic link.
	ErrSpecial = errors.New("a special file")
	// ErrChanged: the file was written to while it was read; what is stored of it is
	// not what it was at any one time.
	ErrChanged = errors.New("changed while it was read")
	// ErrInTheWay: what is there already is of another kind, and is not replaced.
	ErrInTheWay = errors.New("in the way")
	// ErrUnstable: the connection was lost again and again.
	ErrUnstable = errors.New("the connection was lost too often")
)

func overLimit(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrLimit)
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
}
