package disk

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// Options configure a [Store]. All but the directory may be left out.
type Options struct {
	// Dir is the store's directory. It is made if it is not there. One that is there
	// must be a store or empty, but for lost+found and files whose name begins with a
	// dot. Needed.
	Dir string

	// Class is the class of all hashes. The directory remembers it: another one is
	// refused from then on.
	Class store.Class

	// Reserve is how many bytes of the file system's free space are left alone:
	// with less, the store is full. The engine needs room of its own when it
	// brings into order what it has taken. Default 256 MiB; negative for none,
	// which lets the store fail where it could have been full.
	Reserve int64

	// Cache is how many bytes of blocks are kept in memory for reading. Default
	// 64 MiB.
	Cache int64

	// Buffer is how many bytes are gathered in memory, and in the log, before
	// they are put in order on the disk. Up to two such buffers are in memory; when
	// both are full, writers wait. 1 MiB to 1 GiB, default 32 MiB.
	Buffer int64

	// Log is told what the engine does, in lines for people. It may be called
	// concurrently, and must not block or use the store.
	Log func(line string)

	// Full is told when the store has become full, with an error that matches
	// store.ErrFull, and with nil when there is room again, both as somebody adds
	// something. It is called by one goroutine at a time, and must not block or use
	// the store.
	Full func(err error)

	fs vfs.FS // tests have others
}

// Defaults of [Options].
const (
	DefaultReserve = 256 << 20
	DefaultCache   = 64 << 20
	DefaultBuffer  = 32 << 20
)

func (o Options) frozen() (Options, error) {
	if o.Dir == "" {
		return o, errors.New("the store has no directory: set Dir")
	}
	if !slices.Contains(store.ClassNames(), o.Class.String()) {
		return o, fmt.Errorf("%w: %v", store.ErrClass, o.Class)
	}
	if o.Reserve == 0 {
		o.Reserve = DefaultReserve
	}
	if o.Cache == 0 {
		o.Cache = DefaultCache
	}
	if o.Buffer == 0 {
		o.Buffer = DefaultBuffer
	}
	if o.Cache < 0 || o.Cache > math.MaxInt32*1024 {
		return o, fmt.Errorf("a cache of %d bytes: want 1 byte to 2 TiB", o.Cache)
	}
	if o.Buffer < 1<<20 || o.Buffer > 1<<30 {
		return o, fmt.Errorf("a buffer of %d bytes: want 1 MiB to 1 GiB", o.Buffer)
	}
	if o.Log == nil {
		o.Log = func(string) {}
	}
	if o.Full == nil {
		o.Full = func(error) {}
	}
	if o.fs == nil {
		o.fs = vfs.Default
	}
	return o, nil
}
