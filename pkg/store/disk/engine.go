package disk

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// engineFormat is Pebble's format on the disk, which older versions of it cannot
// read. It is raised only on purpose.
const engineFormat = pebble.FormatValueSeparation

// separated is the size in bytes from which values are kept in files of their own,
// which are not written again when the keys are brought into order.
const separated = 1 << 10

// engineOptions are how the engine is run.
func engineOptions(o Options, f *failure, c *events) *pebble.Options {
	p := &pebble.Options{
		FS:                 o.fs,
		FormatMajorVersion: engineFormat,
		CacheSize:          o.Cache,
		MemTableSize:       uint64(o.Buffer), //nolint:gosec // it is positive
		// One is being filled while the other is written.
		MemTableStopWritesThreshold: 2,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		MaxOpenFiles:                500,
		Logger:                      engineLog{o.Log, f},
		EventListener:               c.listener(o.Log, f),
	}
	p.Experimental.ValueSeparationPolicy = func() pebble.ValueSeparationPolicy {
		return pebble.ValueSeparationPolicy{
			Enabled:     true,
			MinimumSize: separated,
			// Hashes are spread evenly, so each file of values is referred to from
			// everywhere. Only lists of blocks would gain from writing them anew.
			MaxBlobReferenceDepth: 1000,
			TargetGarbageRatio:    1, // nothing is ever deleted
		}
	}
	p.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionFastest })
	for i := range p.Levels {
		p.Levels[i].FilterPolicy = bloom.FilterPolicy(10) // most of what is put is not there
	}
	return p
}

// events remembers what the engine tells by events.
type events struct {
	flushErr         atomic.Pointer[error] // of the last flush
	corruptions      atomic.Uint64
	backgroundErrors atomic.Uint64
	stalls           atomic.Uint64
}

func (c *events) listener(log func(string), f *failure) *pebble.EventListener {
	return &pebble.EventListener{
		// Not every error of a flush is one: there may have been nothing to write.
		// One that is comes as a background error next.
		FlushEnd: func(info pebble.FlushInfo) { c.flushErr.Store(&info.Err) },
		// What cannot be written would be tried again for ever, while those who
		// write wait. All of it is still in the log.
		BackgroundError: func(err error) {
			c.backgroundErrors.Add(1)
			log("background error: " + err.Error())
			if flushErr := c.flushErr.Load(); flushErr != nil && errors.Is(err, *flushErr) {
				f.freeze(fmt.Errorf("a buffer could not be written: %w", err))
			}
			if vfs.IsNoSpaceError(err) {
				f.freeze(fmt.Errorf("the reserve is used up: %w", err))
			}
		},
		// Whoever reads the file gets an error. Other files are as good as before.
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			c.corruptions.Add(1)
			log("corrupt file: " + info.String())
		},
		DiskSlow:        func(info pebble.DiskSlowInfo) { log("slow disk: " + info.String()) },
		WriteStallBegin: func(pebble.WriteStallBeginInfo) { c.stalls.Add(1) },
	}
}

// engineLog is the engine's logger.
type engineLog struct {
	log     func(string)
	failure *failure
}

func (l engineLog) Infof(format string, args ...any)  { l.log(fmt.Sprintf(format, args...)) }
func (l engineLog) Errorf(format string, args ...any) { l.log(fmt.Sprintf(format, args...)) }

// Fatalf must not return, and ending the process is not for a package to do.
func (l engineLog) Fatalf(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	l.log(line)
	l.failure.freeze(fmt.Errorf("%s", line))
}
