package store_test

import (
	"errors"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/storetest"
)

func TestMemory(t *testing.T) {
	storetest.TestBackend(t, func(_ *testing.T, class store.Class) store.Backend {
		return store.NewMemory(class, 0)
	})
}

func TestMemoryFull(t *testing.T) {
	m := store.NewMemory(store.SHA256, 100)
	first := storetest.Put(t, m, make([]byte, 60))
	data := storetest.Block(1, 41)
	if _, err := m.Put(t.Context(), m.Class().Sum(data), data); !errors.Is(err, store.ErrFull) {
		t.Errorf("Put beyond the limit: %v, want ErrFull", err)
	}
	archives, _ := m.Archives()
	if err := archives.Append(t.Context(), "a", data); !errors.Is(err, store.ErrFull) {
		t.Errorf("Append beyond the limit: %v, want ErrFull", err)
	}
	if _, err := m.Get(t.Context(), first); err != nil {
		t.Errorf("a full store cannot be read: %v", err)
	}
	storetest.Put(t, m, data[:40])
	small := store.NewMemory(store.SHA256, 10)
	archives, _ = small.Archives()
	if err := archives.Append(t.Context(), "a", data[:9]); err != nil {
		t.Fatal(err)
	}
	storetest.Put(t, small, data[:1])
	if u := small.Usage(); u != (store.Usage{Blocks: 1, Bytes: 1}) {
		t.Errorf("usage beside an archive %+v", u)
	}
	if u := m.Usage(); u != (store.Usage{Blocks: 2, Bytes: 100}) {
		t.Errorf("usage %+v", u)
	}
}
