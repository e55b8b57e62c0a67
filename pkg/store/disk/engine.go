package disk

import (
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
)

// engineFormat is Pebble's format on the disk, which older versions of it cannot
// read. It is raised only on purpose.
const engineFormat = pebble.FormatValueSeparation

// separated is the size in bytes from which values are kept in files of their own,
// which are not written again when the keys are brought into order.
const separated = 1 << 10

// buffers is how many there are: one is filled while the other is written.
const buffers = 2

// engineOptions are how the engine is run.
func (s *Store) engineOptions() *pebble.Options {
	o := s.options
	p := &pebble.Options{
		FS:                 failStop{o.fs, s.failure, &s.armed},
		FormatMajorVersion: engineFormat,
		// The engine takes its buffers out of the cache: those that are filled and
		// written, and one that is kept for the next.
		CacheSize:    o.Cache + (buffers+1)*o.Buffer,
		MemTableSize: uint64(o.Buffer), //nolint:gosec // it is positive

		MemTableStopWritesThreshold: buffers,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		MaxOpenFiles:                500,
		Logger:                      engineLog{o.Log, s.failure},
		EventListener:               s.events.listener(o.Log),
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
	corruptions      atomic.Uint64
	backgroundErrors atomic.Uint64
	stalls           atomic.Uint64
}

func (c *events) listener(log func(string)) *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			c.backgroundErrors.Add(1)
			log("background error: " + err.Error())
		},
		// Whoever reads the file gets an error. Other files are as good as before.
		DataCorruption:  func(info pebble.DataCorruptionInfo) { c.damaged("corrupt file: "+info.String(), log) },
		DiskSlow:        func(info pebble.DiskSlowInfo) { log("slow disk: " + info.String()) },
		WriteStallBegin: func(pebble.WriteStallBeginInfo) { c.stalls.Add(1) },
	}
}

func (c *events) damaged(what string, log func(string)) {
	c.corruptions.Add(1)
	log(what)
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
