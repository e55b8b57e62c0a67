package disk

import "github.com/pktsvc/pktsvc/pkg/store"

// Stats are what a store has done since it was opened, and what it takes. Counts
// only grow.
type Stats struct {
	Blocks, Bytes uint64 // of all blocks, as in Usage
	DiskBytes     uint64 // that its files take, those with them that are about to go
	FreeBytes     uint64 // of its file system
	Full          bool   // the free space is down to the reserve, when last looked at

	Syncs        uint64 // by Sync
	LogBytes     uint64 // written to the log
	FlushBytes   uint64 // written when buffers were put in order
	CompactBytes uint64 // written when that was put in order again
	Stalls       uint64 // times that writers had to wait for the disk

	CacheHits, CacheMisses uint64
	CacheBytes             uint64 // in use
	BufferBytes            uint64 // in use

	Corruptions      uint64 // damaged places found, some perhaps more than once
	BackgroundErrors uint64 // failed attempts to put things in order
}

// Stats takes some microseconds. Of a store that has failed it returns only what is
// known without the engine. It must not be called during or after Close.
func (s *Store) Stats() Stats {
	stats, _ := run(s.failure, func() (stats Stats, _ error) {
		m := s.db.Metrics()
		total := m.Total()
		stats.DiskBytes = m.DiskSpaceUsage()
		stats.LogBytes = m.WAL.BytesWritten
		stats.FlushBytes = total.TableBytesFlushed + total.BlobBytesFlushed
		stats.CompactBytes = total.TableBytesCompacted + total.BlobBytesCompacted
		stats.CacheHits, stats.CacheMisses = unsigned(m.BlockCache.Hits), unsigned(m.BlockCache.Misses)
		stats.CacheBytes = unsigned(m.BlockCache.Size)
		stats.BufferBytes = m.MemTable.Size
		return stats, nil
	})
	usage := s.Usage()
	stats.Blocks, stats.Bytes = usage.Blocks, usage.Bytes
	if free, err := s.free(); err == nil {
		stats.FreeBytes = unsigned(free)
	}
	stats.Full = s.room.full()
	stats.Syncs = s.syncs.Load()
	stats.Stalls = s.events.stalls.Load()
	stats.Corruptions = s.events.corruptions.Load()
	stats.BackgroundErrors = s.events.backgroundErrors.Load()
	return stats
}

// CacheStats are the lookups in the cache since the store was opened, as in Stats.
func (s *Store) CacheStats() (hits, misses uint64) {
	stats := s.Stats()
	return stats.CacheHits, stats.CacheMisses
}

// DiskUsage is from Stats, which it calls.
func (s *Store) DiskUsage() store.DiskUsage {
	stats := s.Stats()
	usage := store.DiskUsage{Used: stats.DiskBytes, Free: stats.FreeBytes, Stalls: stats.Stalls}
	if _, err := s.free(); err == nil {
		usage.Reserve = unsigned(s.options.Reserve)
	}
	return usage
}

func unsigned(n int64) uint64 { return uint64(max(n, 0)) } //nolint:gosec // it is not negative
