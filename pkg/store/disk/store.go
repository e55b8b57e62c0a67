package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// ErrInUse matches the error of Open where a process, which may be this one, has the
// directory open.
var ErrInUse = errors.New("the store's directory is in use")

// stripes is how many blocks are stored at a time, at most.
const stripes = 256

// writesAtATime is how many blocks are being written at a time, at most. That keeps
// the engine busy.
const writesAtATime = 32

// Store is a [store.Backend] in a directory. Its methods may be called
// concurrently, and block for as long as the disk does.
type Store struct {
	options Options
	db      *pebble.DB // entered by run alone
	failure *failure
	room    room
	events  events
	armed   atomic.Bool // see failStop

	// Each block and each archive has one of these locks, so that a block is new
	// once and entries get numbers in turn.
	stripes [stripes]sync.Mutex

	// writes has an entry for each block that is being written.
	writes chan struct{}

	blocks, bytes atomic.Uint64
	syncs         atomic.Uint64
}

var (
	_ store.Backend  = (*Store)(nil)
	_ store.Measured = (*Store)(nil)
)

// Open opens the store in a directory, or makes one. It reads the list of all
// blocks, about a second for a million. The error matches ErrInUse where another
// process has the directory, store.ErrOtherClass where it has hashes of another
// class, and ErrNotStore where it has files of others.
func Open(o Options) (*Store, error) {
	o, err := o.frozen()
	if err != nil {
		return nil, err
	}
	s := &Store{options: o, failure: newFailure(), writes: make(chan struct{}, writesAtATime)}
	s.room.reserve = o.Reserve
	s.room.free = s.free
	s.room.told = o.Full
	opened, err := run(s.failure, s.open)
	if err != nil {
		return nil, fmt.Errorf("open the store in %s: %w", o.Dir, err)
	}
	s.db = opened.db
	s.blocks.Store(opened.blocks)
	s.bytes.Store(opened.bytes)
	return s, nil
}

// opened is an engine, and what is in it.
type opened struct {
	db            *pebble.DB
	blocks, bytes uint64
}

func (s *Store) open() (opened, error) {
	if err := checkDirectory(s.options.fs, s.options.Dir); err != nil {
		return opened{}, err
	}
	db, err := pebble.Open(s.options.Dir, s.engineOptions())
	if isInUse(err) {
		err = fmt.Errorf("%w by another process or by this one: %w", ErrInUse, err)
	}
	if err != nil {
		return opened{}, err
	}
	s.armed.Store(true)
	result := opened{db: db}
	if err = checkFormat(db, s.options.Class); err == nil {
		result.blocks, result.bytes, err = count(db)
	}
	if err != nil {
		return opened{}, errors.Join(err, db.Close())
	}
	return result, nil
}

// isInUse reports whether an error of the engine is that of its lock file.
func isInUse(err error) bool {
	return err != nil && (errors.Is(err, syscall.EAGAIN) || strings.Contains(err.Error(), "lock held by current process"))
}

// formatVersion is that of the keys and values in a directory.
const formatVersion = "1"

// checkFormat checks that a directory is one of this format and class. A new one
// becomes that, for good.
func checkFormat(db *pebble.DB, class store.Class) error {
	value, closer, err := db.Get(formatKey)
	if errors.Is(err, pebble.ErrNotFound) {
		return makeFormat(db, class)
	}
	if err != nil {
		return err
	}
	defer closer.Close()
	version, name, _ := strings.Cut(string(value), " ")
	if version != formatVersion {
		return fmt.Errorf("it has format %.20q, and this program knows format %s", version, formatVersion)
	}
	if name != class.String() {
		return fmt.Errorf("%w: the directory has %.20s, not %v", store.ErrOtherClass, name, class)
	}
	return nil
}

func makeFormat(db *pebble.DB, class store.Class) error {
	all, err := db.NewIter(nil)
	if err != nil {
		return err
	}
	used := all.First()
	if err := all.Close(); err != nil {
		return err
	}
	if used {
		return errors.New("the directory holds something else than a store")
	}
	if err := db.Set(formatKey, []byte(formatVersion+" "+class.String()), pebble.Sync); err != nil {
		return err
	}
	// The log of a new directory is in the engine's oldest format, in which damage
	// cannot be told from the end. This begins another one.
	return db.Flush()
}

// count reads the index.
func count(db *pebble.DB) (blocks, bytes uint64, err error) {
	index, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{kindIndex}, UpperBound: above(kindIndex)})
	if err != nil {
		return 0, 0, err
	}
	for index.First(); index.Valid(); index.Next() {
		value, err := index.ValueAndErr()
		if err != nil {
			return 0, 0, errors.Join(err, index.Close())
		}
		size, _ := binary.Uvarint(value)
		blocks++
		bytes += size
	}
	return blocks, bytes, index.Close()
}

// free is the free space of the directory's file system, in bytes.
func (s *Store) free() (int64, error) {
	usage, err := s.options.fs.GetDiskUsage(s.options.Dir)
	return int64(min(usage.AvailBytes, 1<<62)), err //nolint:gosec // as said
}

// Class implements [store.Backend].
func (s *Store) Class() store.Class { return s.options.Class }

// Usage implements [store.Measured].
func (s *Store) Usage() store.Usage {
	return store.Usage{Blocks: s.blocks.Load(), Bytes: s.bytes.Load()}
}

// Close makes everything durable and frees the directory; it waits for what the
// engine is doing. No method may be running, and none but Stats, Usage, Err and
// Failed called afterwards. A store that has failed is not closed: the error says so,
// and the end of the process does it.
func (s *Store) Close() error {
	_, err := run(s.failure, func() (struct{}, error) {
		return struct{}{}, s.db.Close() // which syncs its log
	})
	return err
}
