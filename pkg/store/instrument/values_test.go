package instrument

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/storetest"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

func TestBackendIsOne(t *testing.T) {
	storetest.TestBackend(t, func(t *testing.T, class store.Class) store.Backend {
		i, _ := mustNew(t, Options{})
		return i.Backend(store.NewMemory(class, 0))
	})
}

// Every metric after requests of a client, and what the service told its owner.
func TestValuesOfAService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // in which nothing takes time
		i, reg := mustNew(t, Options{})
		backend := newMemory(31)
		backend.hits, backend.misses = 3, 4
		var syncs, corrupts, mended int
		service := store.NewService(i.Backend(backend), i.Options(store.Options{
			Synced:  func(int, error) { syncs++ },
			Corrupt: func(store.Code) { corrupts++ },
			Mended:  func(store.Code) { mended++ },
		}))
		c := connect(t, service, nil)
		ctx := t.Context()

		first, _ := c.Add(ctx, []byte("0123456789"))
		for range 3 {
			_, _ = c.Add(ctx, []byte("0123456789"))
		}
		_, _ = c.Add(ctx, []byte("01234"))
		_, _ = c.Add(ctx, make([]byte, 20)) // no room
		_, _ = c.Get(ctx, first)
		_, _ = c.Get(ctx, first)
		_, _ = c.Get(ctx, store.SHA256.Sum(nil)) // missing
		bad := store.SHA256.Sum([]byte("good"))
		_, _ = backend.Put(ctx, bad, []byte("bad"))
		_, _ = c.Get(ctx, bad) // corrupt
		_, _ = c.Add(ctx, []byte("good"))
		_, _ = c.Contains(ctx, first)
		_, _ = c.Length(ctx)
		_, _ = c.HashCodes(ctx, store.Code{}, false, 10)
		_ = c.Flush(ctx)

		wantMetrics(t, reg, `
pktsvc_store_blocks 3
pktsvc_store_bytes 19
pktsvc_store_cache_lookups_total{result="hit"} 3
pktsvc_store_cache_lookups_total{result="miss"} 4
pktsvc_store_corrupt_blocks_total 1
pktsvc_store_get_bytes_total 23
pktsvc_store_gets_total{result="found"} 3
pktsvc_store_gets_total{result="missing"} 1
pktsvc_store_mended_blocks_total 1
pktsvc_store_operation_duration_seconds{operation="codes"} 1
pktsvc_store_operation_duration_seconds{operation="get"} 4
pktsvc_store_operation_duration_seconds{operation="has"} 1
pktsvc_store_operation_duration_seconds{operation="length"} 1
pktsvc_store_operation_duration_seconds{operation="put"} 6
pktsvc_store_operation_duration_seconds{operation="replace"} 1
pktsvc_store_operation_duration_seconds{operation="sync"} 1
pktsvc_store_operation_errors_total{kind="full",operation="put"} 1
pktsvc_store_put_bytes_total{result="new"} 15
pktsvc_store_put_bytes_total{result="present"} 30
pktsvc_store_puts_total{result="new"} 2
pktsvc_store_puts_total{result="present"} 3
pktsvc_store_sync_requests 1
`)
		if syncs != 1 || corrupts != 1 || mended != 1 {
			t.Errorf("the owner heard of %d syncs, %d corrupt and %d mended blocks, want 1 of each", syncs, corrupts, mended)
		}
	})
}

// What fails is counted by its kind, whatever fails.
func TestErrors(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		ctx  context.Context
		err  error
		kind string // empty: no error
		get  string
	}{
		{t.Context(), fmt.Errorf("no such: %w", store.ErrMissing), "", "missing"},
		{t.Context(), fmt.Errorf("disk: %w", store.ErrFull), "full", "error"},
		{t.Context(), fmt.Errorf("disk: %w", store.ErrCorrupt), "corrupt", "corrupt"},
		{canceled, context.Canceled, "canceled", "error"},
		{canceled, fmt.Errorf("disk: %w", store.ErrFull), "full", "error"},
		{t.Context(), context.DeadlineExceeded, "failed", "error"}, // of the backend's own
		{t.Context(), errors.New("disk on fire"), "failed", "error"},
	} {
		i, reg := mustNew(t, Options{})
		m := newMemory(0)
		m.err = test.err
		all(test.ctx, i.Backend(m))
		want := []string{
			"pktsvc_store_blocks 0", "pktsvc_store_bytes 0",
			`pktsvc_store_cache_lookups_total{result="hit"} 0`, `pktsvc_store_cache_lookups_total{result="miss"} 0`,
			`pktsvc_store_gets_total{result="` + test.get + `"} 1`,
		}
		if test.kind == "corrupt" {
			want = append(want, "pktsvc_store_corrupt_blocks_total 1")
		}
		for _, op := range operationNames {
			want = append(want, `pktsvc_store_operation_duration_seconds{operation="`+op+`"} 1`)
			if test.kind != "" {
				want = append(want, `pktsvc_store_operation_errors_total{kind="`+test.kind+`",operation="`+op+`"} 1`)
			}
		}
		t.Run(test.err.Error(), func(t *testing.T) { wantMetrics(t, reg, strings.Join(want, "\n")) })
	}
}

// A backend that keeps no archives says so still.
func TestNoArchives(t *testing.T) {
	i, _ := mustNew(t, Options{})
	m := newMemory(0)
	m.err = store.ErrNoArchives
	if _, err := i.Backend(m).Archives(); !errors.Is(err, store.ErrNoArchives) {
		t.Errorf("Archives: %v, want ErrNoArchives", err)
	}
}

// What a backend cannot tell is absent, and it is not asked when it is closed.
func TestLevels(t *testing.T) {
	type plain struct{ store.Backend } // which hides all else
	levels := func(reg *prometheus.Registry) (list []string) {
		for name := range samples(t, reg) {
			if strings.HasPrefix(name, "pktsvc_store_blocks") || strings.HasPrefix(name, "pktsvc_store_bytes") || strings.HasPrefix(name, "pktsvc_store_cache") ||
				strings.HasPrefix(name, "pktsvc_store_disk") || strings.HasPrefix(name, "pktsvc_store_write_stalls") {
				list = append(list, name)
			}
		}
		return slices.Sorted(slices.Values(list))
	}
	usage := []string{"pktsvc_store_blocks", "pktsvc_store_bytes"}
	cache := []string{`pktsvc_store_cache_lookups_total{result="hit"}`, `pktsvc_store_cache_lookups_total{result="miss"}`}
	disk := []string{"pktsvc_store_disk_bytes", "pktsvc_store_disk_free_bytes", "pktsvc_store_disk_reserve_bytes", "pktsvc_store_write_stalls_total"}

	for name, test := range map[string]struct {
		backend store.Backend
		want    []string
	}{
		"neither": {plain{newMemory(0)}, nil},
		"usage":   {store.NewMemory(store.SHA1, 0), usage},
		"both":    {newMemory(0), slices.Concat(usage, cache)},
		"a disk":  {onDisk{Backend: plain{newMemory(0)}}, disk},
	} {
		i, reg := mustNew(t, Options{})
		if got := levels(reg); got != nil {
			t.Errorf("without a backend there are %q", got)
		}
		b := i.Backend(test.backend)
		if got := levels(reg); !slices.Equal(got, test.want) {
			t.Errorf("%s: there are %q, want %q", name, got, test.want)
		}
		_, was := test.backend.(store.Measured)
		if _, is := b.(store.Measured); is != was {
			t.Errorf("%s: the observed backend is measured: %v, want %v", name, is, was)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if got := levels(reg); got != nil {
			t.Errorf("%s: of a closed backend there are %q", name, got)
		}
	}
}

// onDisk is a backend with a disk.
type onDisk struct {
	store.Backend
	usage store.DiskUsage
}

func (o onDisk) DiskUsage() store.DiskUsage { return o.usage }

func TestDiskUsage(t *testing.T) {
	type plain struct{ store.Backend }
	i, reg := mustNew(t, Options{})
	i.Backend(onDisk{plain{newMemory(0)}, store.DiskUsage{Used: 1, Free: 2, Reserve: 3, Stalls: 4}})
	wantMetrics(t, reg, `
pktsvc_store_disk_bytes 1
pktsvc_store_disk_free_bytes 2
pktsvc_store_disk_reserve_bytes 3
pktsvc_store_write_stalls_total 4
`)
}

// Names and help are as they should be, and all series are there from the start.
func TestExposition(t *testing.T) {
	i, reg := mustNew(t, Options{})
	i.Backend(newMemory(0))
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	const series = 2 + 2 + 3 + int(numGets) + int(numOperations)*int(numKinds) + 2 + 2 + 1 // numKinds-1 kinds, and durations
	if got := len(samples(t, reg)); got != series {
		t.Errorf("%d series, want %d", got, series)
	}
}

func TestNewTwice(t *testing.T) {
	_, reg := mustNew(t, Options{})
	var is prometheus.AlreadyRegisteredError
	if _, err := New(reg, Options{}); !errors.As(err, &is) {
		t.Errorf("a second one in the same registry: %v", err)
	}
	if _, err := New(nil, Options{}); err != nil {
		t.Errorf("without a registry: %v", err)
	}
}

// connect returns a client of a service; both are gone when the test ends.
func connect(t testing.TB, s *store.Service, o stream.Observer) *store.Client {
	t.Helper()
	t.Cleanup(func() { s.Close() }) // after the connection
	return store.NewClient(storetest.Connect(t, s.Mux(), o), store.SHA256)
}

// wantMetrics compares all series that are not 0, and levels, with lines of NAME VALUE.
// Of histograms the value is the count.
func wantMetrics(t *testing.T, reg prometheus.Gatherer, lines string) {
	t.Helper()
	want := make(map[string]string)
	for line := range strings.Lines(lines) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			want[name] = value
		}
	}
	got := samples(t, reg)
	for _, name := range slices.Sorted(maps.Keys(got)) {
		expected := want[name]
		if expected == "" {
			expected = "0"
		}
		if value := fmt.Sprint(got[name]); value != expected {
			t.Errorf("%s is %s, want %s", name, value, expected)
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("there is no series %s", name)
	}
}

// samples are all series with their values; of histograms the counts.
func samples(t testing.TB, reg prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	list := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			name := f.GetName()
			if len(labels) > 0 {
				name += "{" + strings.Join(labels, ",") + "}"
			}
			list[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return list
}
