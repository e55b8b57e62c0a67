package object

import (
	"sync/atomic"
	"time"

	"github.com/pktsvc/pktsvc/pkg/store/cached"
)

// Stats are counts since a store was opened.
type Stats struct {
	// Requests to the object store by what they ask for, those that were tried again
	// each time.
	Gets, Heads, Puts, Lists uint64

	Retries uint64        // requests that were tried again
	Took    time.Duration // all requests together

	Read    uint64 // bytes of objects read
	Written uint64 // bytes of objects written

	Known     uint64 // times that a block was known to be there: no request was made
	Avoided   uint64 // Puts of blocks that turned out to be there
	Conflicts uint64 // numbers of archives' entries that another process took first

	// Conditional: the object store has conditional writes.
	Conditional bool

	// Cache of blocks that were read; zero if there is none.
	Cache cached.Stats
}

type counts struct {
	gets, heads, puts, lists, retries        atomic.Uint64
	read, written, known, avoided, conflicts atomic.Uint64
	took                                     atomic.Int64 // ns
}

// Stats may be called at any time.
func (s *Store) Stats() Stats {
	c := &s.blocks.counts
	stats := Stats{
		Gets: c.gets.Load(), Heads: c.heads.Load(), Puts: c.puts.Load(), Lists: c.lists.Load(),
		Retries: c.retries.Load(), Took: time.Duration(c.took.Load()),
		Read: c.read.Load(), Written: c.written.Load(),
		Known: c.known.Load(), Avoided: c.avoided.Load(), Conflicts: c.conflicts.Load(),
		Conditional: s.blocks.conditional,
	}
	if s.cache != nil {
		stats.Cache = s.cache.Stats()
	}
	return stats
}

// CacheStats are how many reads the cache has answered since the store was opened,
// and how many not.
func (s *Store) CacheStats() (hits, misses uint64) {
	if s.cache == nil {
		return 0, 0
	}
	stats := s.cache.Stats()
	return stats.Hits + stats.Shared, stats.Misses
}
