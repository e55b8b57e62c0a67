package disk

import (
	"testing"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/storetest"
)

const benchSize = 64 << 10

// numberedCode returns the code of a block that is not hashed, which is not what is measured.
func numberedCode(n int) store.Code {
	return store.SHA256.Sum([]byte{byte(n), byte(n >> 8), byte(n >> 16)})
}

func benchStore(b *testing.B) *Store {
	b.Helper()
	s, err := Open(Options{Dir: b.TempDir(), Class: store.SHA256})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}

// What a block costs that is new, with a Sync for every 64 MiB.
func BenchmarkPut64K(b *testing.B) {
	s := benchStore(b)
	data := storetest.Block(1, benchSize)
	b.SetBytes(benchSize)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if _, err := s.Put(b.Context(), numberedCode(n), data); err != nil {
			b.Fatal(err)
		}
		if n%1000 == 999 {
			if err := s.Sync(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// What a block costs that the system has in memory, but mostly not the store's cache.
func BenchmarkGet64K(b *testing.B) {
	const blocks = 4000
	s := benchStore(b)
	data := storetest.Block(1, benchSize)
	for n := range blocks {
		if _, err := s.Put(b.Context(), numberedCode(n), data); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(benchSize)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if _, err := s.Get(b.Context(), numberedCode(n*7%blocks)); err != nil {
			b.Fatal(err)
		}
	}
}

// What a small block costs with a Sync for each.
func BenchmarkPutSync4K(b *testing.B) {
	s := benchStore(b)
	data := storetest.Block(1, 4<<10)
	b.SetBytes(4 << 10)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if _, err := s.Put(b.Context(), numberedCode(n), data); err != nil {
			b.Fatal(err)
		}
		if err := s.Sync(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
