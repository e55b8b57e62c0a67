package instrument

import (
	"context"
	"errors"
	"iter"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/pktsvc/pktsvc/pkg/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// mustNew makes an instrument with a registry of its own.
func mustNew(t testing.TB, o Options) (*Instrument, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	i, err := New(reg, o)
	if err != nil {
		t.Fatal(err)
	}
	return i, reg
}

// memory is a backend in memory with a cache, of which any method may fail.
type memory struct {
	*store.Memory
	err          error // of all methods, unless it is nil
	hits, misses uint64
}

func newMemory(limit uint64) *memory { return &memory{Memory: store.NewMemory(store.SHA256, limit)} }

func (m *memory) CacheStats() (hits, misses uint64) { return m.hits, m.misses }

func (m *memory) Put(ctx context.Context, code store.Code, data []byte) (bool, error) {
	if m.err != nil {
		return false, m.err
	}
	return m.Memory.Put(ctx, code, data)
}

func (m *memory) Replace(ctx context.Context, code store.Code, data []byte) error {
	if m.err != nil {
		return m.err
	}
	return m.Memory.Replace(ctx, code, data)
}

func (m *memory) Get(ctx context.Context, code store.Code) ([]byte, error) {
	if m.err != nil {
		return nil, m.err
	}
	return m.Memory.Get(ctx, code)
}

func (m *memory) Has(ctx context.Context, code store.Code) (bool, error) {
	if m.err != nil {
		return false, m.err
	}
	return m.Memory.Has(ctx, code)
}

func (m *memory) Codes(ctx context.Context, start store.Code) iter.Seq2[store.Code, error] {
	if m.err != nil {
		return func(yield func(store.Code, error) bool) { yield(store.Code{}, m.err) }
	}
	return m.Memory.Codes(ctx, start)
}

func (m *memory) Length(ctx context.Context) (uint64, error) {
	if m.err != nil {
		return 0, m.err
	}
	return m.Memory.Length(ctx)
}

func (m *memory) Sync(ctx context.Context) error { return m.err }

func (m *memory) Archives() (store.Archives, error) {
	if errors.Is(m.err, store.ErrNoArchives) {
		return nil, m.err
	}
	a, err := m.Memory.Archives()
	return failing{a, m}, err
}

// failing are the archives of such a backend.
type failing struct {
	store.Archives
	of *memory
}

func (f failing) Append(ctx context.Context, name store.ArchiveName, entry []byte) error {
	if f.of.err != nil {
		return f.of.err
	}
	return f.Archives.Append(ctx, name, entry)
}

func (f failing) Last(ctx context.Context, name store.ArchiveName) ([]byte, error) {
	if f.of.err != nil {
		return nil, f.of.err
	}
	return f.Archives.Last(ctx, name)
}

func (f failing) Entries(ctx context.Context, name store.ArchiveName) iter.Seq2[[]byte, error] {
	if f.of.err != nil {
		return func(yield func([]byte, error) bool) { yield(nil, f.of.err) }
	}
	return f.Archives.Entries(ctx, name)
}

// all calls every method of a backend and of its archives, in the order of the
// operations.
func all(ctx context.Context, b store.Backend) {
	data := []byte("block")
	code := b.Class().Sum(data)
	_, _ = b.Put(ctx, code, data)
	_ = b.Replace(ctx, code, data)
	_, _ = b.Get(ctx, code)
	_, _ = b.Has(ctx, code)
	for range b.Codes(ctx, store.Code{}) {
		continue
	}
	_, _ = b.Length(ctx)
	_ = b.Sync(ctx)
	a, err := b.Archives()
	if err != nil {
		return
	}
	_ = a.Append(ctx, "home", []byte("entry"))
	_, _ = a.Last(ctx, "home")
	for range a.Entries(ctx, "home") {
		continue
	}
}
