package store

import (
	"context"
	"io"
	"iter"
)

// Backend keeps blocks under their hash codes, all of one class. Its methods may
// be called concurrently, and may block. Where a context ends they return early
// with its error, if they can.
//
// A backend need not check hashes: the service does, before it stores a block and
// before it gives one out.
type Backend interface {
	// Class is the class of all codes.
	Class() Class

	// Put stores a block and reports whether it was new. When it returns, Get
	// finds the block, from any connection. data belongs to the caller, and is
	// not kept. The error matches ErrFull if there is no room.
	Put(ctx context.Context, code Code, data []byte) (added bool, err error)

	// Replace stores a block in the place of one that Put found present but that Get
	// does not return as it was: afterwards it does. data belongs to the caller, and
	// is not kept. The error matches ErrFull if there is no room.
	Replace(ctx context.Context, code Code, data []byte) error

	// Get returns a block, which belongs to the caller, or an error that matches
	// ErrMissing.
	Get(ctx context.Context, code Code) ([]byte, error)

	// Has reports whether a block is there, without reading it.
	Has(ctx context.Context, code Code) (bool, error)

	// Codes yields the codes that are not less than start, in ascending order. What
	// is put meanwhile may or may not show. After an error nothing comes.
	Codes(ctx context.Context, start Code) iter.Seq2[Code, error]

	// Length is the number of blocks.
	Length(ctx context.Context) (uint64, error)

	// Sync returns when everything for which Put or Append had returned before the
	// call is durable: a loss of power does not take it away.
	Sync(ctx context.Context) error

	// Archives are the backend's archives. If it has none the error matches
	// ErrNoArchives and says why.
	Archives() (Archives, error)

	// Close frees the backend, when no method is running any more.
	io.Closer
}

// Archives are lists of entries that only grow. The methods are like those of
// [Backend]. Names have been checked.
type Archives interface {
	// Append appends an entry. Entries that are appended at the same time, also by
	// other processes, get some order, which stays.
	Append(ctx context.Context, name ArchiveName, entry []byte) error

	// Last returns the last entry, or an error that matches ErrMissing.
	Last(ctx context.Context, name ArchiveName) ([]byte, error)

	// Entries yields all entries, the oldest first.
	Entries(ctx context.Context, name ArchiveName) iter.Seq2[[]byte, error]
}

// Usage is what a backend takes.
type Usage struct {
	Blocks uint64
	Bytes  uint64 // of all blocks
}

// DiskUsage is what a backend takes of its disk, in bytes.
type DiskUsage struct {
	Used    uint64 // by its files
	Free    uint64 // in its file system
	Reserve uint64 // of free space, with which it is full; 0: none, or Free is not known
	Stalls  uint64 // times that writers had to wait for the disk since it was opened
}

// Measured is a Backend that knows what it takes, without looking.
type Measured interface {
	Usage() Usage
}
