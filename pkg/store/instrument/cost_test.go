package instrument

import (
	"context"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/storetest"
)

// still does nothing, so that what is measured is the observation.
type still struct{ store.Backend }

func (still) Put(context.Context, store.Code, []byte) (bool, error) { return false, nil }
func (still) Replace(context.Context, store.Code, []byte) error     { return nil }
func (still) Get(context.Context, store.Code) ([]byte, error)       { return nil, nil }
func (still) Has(context.Context, store.Code) (bool, error)         { return true, nil }
func (still) Length(context.Context) (uint64, error)                { return 0, nil }
func (still) Sync(context.Context) error                            { return nil }

// Observing allocates nothing where the request is not recorded.
func TestObservingDoesNotAllocate(t *testing.T) {
	i, _ := mustNew(t, Options{})
	b, ctx, code, data := i.Backend(still{}), t.Context(), store.SHA256.Sum(nil), []byte("block")
	o := i.Options(store.Options{})
	for name, f := range map[string]func(){
		"Put":     func() { _, _ = b.Put(ctx, code, data) },
		"Replace": func() { _ = b.Replace(ctx, code, data) },
		"Get":     func() { _, _ = b.Get(ctx, code) },
		"Has":     func() { _, _ = b.Has(ctx, code) },
		"Length":  func() { _, _ = b.Length(ctx) },
		"Sync":    func() { _ = b.Sync(ctx) },
		"Synced":  func() { o.Synced(10, nil) },
		"Corrupt": func() { o.Corrupt(code) },
		"Mended":  func() { o.Mended(code) },
	} {
		for range 100 { // until the native histogram has its buckets
			f()
		}
		if n := testing.AllocsPerRun(1000, f); n >= 1 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func BenchmarkObserving(b *testing.B) {
	data := storetest.Block(1, 4096)
	code := store.SHA256.Sum(data)
	for _, of := range []struct {
		name    string
		backend store.Backend
	}{{"nothing", still{}}, {"memory", store.NewMemory(store.SHA256, 0)}} {
		i, _ := mustNew(b, Options{})
		for _, how := range []struct {
			name    string
			backend store.Backend
		}{{"bare", of.backend}, {"observed", i.Backend(of.backend)}} {
			b.Run(of.name+"/"+how.name+"/put", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					_, _ = how.backend.Put(b.Context(), code, data)
				}
			})
			b.Run(of.name+"/"+how.name+"/get", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					_, _ = how.backend.Get(b.Context(), code)
				}
			})
		}
	}
}
