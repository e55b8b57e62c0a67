package store

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"testing"
)

// measuring is a backend that looks at the heap when it is asked for a block.
type measuring struct {
	*Memory
	heap uint64
}

func (m *measuring) Has(ctx context.Context, code Code) (bool, error) {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	m.heap = s.HeapAlloc
	return m.Memory.Has(ctx, code)
}

// A block of as many references as it can hold takes little more room than its bytes.
func TestContainsIndirectHoldsNoReferences(t *testing.T) {
	m := &measuring{Memory: NewMemory(SHA256, 0)}
	s := NewService(m, Options{})
	leaf, _ := AppendRefs(nil, Ref{Code: SHA256.Sum(nil)})
	nothing, _ := AppendRefs(nil, Ref{Type: RefLiteral})
	block := append(leaf, bytes.Repeat(nothing, 4<<20/len(nothing))...)
	root := SHA256.Sum(block)
	if _, err := m.Put(t.Context(), root, block); err != nil {
		t.Fatal(err)
	}
	if there, err := s.containsIndirect(t.Context(), root); there || err != nil {
		t.Fatal(there, err)
	}
	if most := uint64(20 << 20); m.heap > most {
		t.Errorf("a block of %d bytes: a heap of %d", len(block), m.heap)
	}
}

// What begins as a list and is none is refused, also where a block of it is missing.
func TestContainsIndirectReadsToTheEnd(t *testing.T) {
	m := NewMemory(SHA256, 0)
	list, _ := AppendRefs(nil, Ref{Code: SHA256.Sum([]byte("missing"))})
	block := append(list, 7)
	if _, err := m.Put(t.Context(), SHA256.Sum(block), block); err != nil {
		t.Fatal(err)
	}
	there, err := NewService(m, Options{}).containsIndirect(t.Context(), SHA256.Sum(block))
	if there || !errors.Is(err, declined) {
		t.Errorf("%v, %v, want a refusal", there, err)
	}
}
