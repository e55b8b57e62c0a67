package instrument

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// Cached is a backend with a cache. It tells how many lookups in it found something since
// it was opened and how many did not, whatever the unit of the cache is: whole blocks or
// parts of files.
type Cached interface {
	CacheStats() (hits, misses uint64)
}

// OnDisk is a backend that has a disk to fill. It is asked at each scrape.
type OnDisk interface {
	DiskUsage() store.DiskUsage
}

// levels are what the backend itself knows. They are absent where it does not, and
// when it is closed.
type levels struct {
	mu       sync.Mutex // held while the backend is asked: it is not closed meanwhile
	measured store.Measured
	cached   Cached
	onDisk   OnDisk
}

// of makes the levels those of a backend; nil for none.
func (l *levels) of(b store.Backend) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.measured, _ = b.(store.Measured)
	l.cached, _ = b.(Cached)
	l.onDisk, _ = b.(OnDisk)
}

var (
	blocksDesc = prometheus.NewDesc("pktsvc_store_blocks", "Blocks in the store.", nil, nil)
	bytesDesc  = prometheus.NewDesc("pktsvc_store_bytes",
		"Bytes of all blocks in the store, as the backend counts them.", nil, nil)
	cacheDesc = prometheus.NewDesc("pktsvc_store_cache_lookups_total",
		"Lookups in the backend's cache, by whether something was there: hit or miss.", []string{"result"}, nil)
	diskDesc = prometheus.NewDesc("pktsvc_store_disk_bytes",
		"Bytes that the files of the store take of its disk.", nil, nil)
	freeDesc = prometheus.NewDesc("pktsvc_store_disk_free_bytes",
		"Bytes that are free in the file system of the store.", nil, nil)
	reserveDesc = prometheus.NewDesc("pktsvc_store_disk_reserve_bytes",
		"Bytes of free space at which the store is full. 0: there is no reserve, or the file system does not tell what is free.", nil, nil)
	stallsDesc = prometheus.NewDesc("pktsvc_store_write_stalls_total",
		"Times that writers of the store had to wait for its disk.", nil, nil)
)

func (l *levels) describe(ch chan<- *prometheus.Desc) {
	ch <- blocksDesc
	ch <- bytesDesc
	ch <- cacheDesc
	ch <- diskDesc
	ch <- freeDesc
	ch <- reserveDesc
	ch <- stallsDesc
}

func (l *levels) collect(ch chan<- prometheus.Metric) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.measured != nil {
		u := l.measured.Usage()
		ch <- prometheus.MustNewConstMetric(blocksDesc, prometheus.GaugeValue, float64(u.Blocks))
		ch <- prometheus.MustNewConstMetric(bytesDesc, prometheus.GaugeValue, float64(u.Bytes))
	}
	if l.cached != nil {
		hits, misses := l.cached.CacheStats()
		ch <- prometheus.MustNewConstMetric(cacheDesc, prometheus.CounterValue, float64(hits), "hit")
		ch <- prometheus.MustNewConstMetric(cacheDesc, prometheus.CounterValue, float64(misses), "miss")
	}
	if l.onDisk != nil {
		u := l.onDisk.DiskUsage()
		ch <- prometheus.MustNewConstMetric(diskDesc, prometheus.GaugeValue, float64(u.Used))
		ch <- prometheus.MustNewConstMetric(freeDesc, prometheus.GaugeValue, float64(u.Free))
		ch <- prometheus.MustNewConstMetric(reserveDesc, prometheus.GaugeValue, float64(u.Reserve))
		ch <- prometheus.MustNewConstMetric(stallsDesc, prometheus.CounterValue, float64(u.Stalls))
	}
}
