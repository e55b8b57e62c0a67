package store

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
)

// Memory is a [Backend] in memory. It forgets everything when the process ends.
type Memory struct {
	class Class
	limit uint64

	mu       sync.RWMutex
	blocks   map[Code][]byte // never changed once they are there
	sorted   []Code          // all codes in order, but for those of unsorted
	unsorted []Code
	archives map[ArchiveName][][]byte
	taken    uint64 // bytes of all blocks and entries
	bytes    uint64 // of all blocks
}

// NewMemory returns an empty store of a class that takes blocks and entries of
// up to limit bytes together; 0 for no limit.
func NewMemory(class Class, limit uint64) *Memory {
	return &Memory{
		class: class, limit: limit,
		blocks: make(map[Code][]byte), archives: make(map[ArchiveName][][]byte),
	}
}

// Class is the class of all codes.
func (m *Memory) Class() Class { return m.class }

// Put implements [Backend].
func (m *Memory) Put(_ context.Context, code Code, data []byte) (added bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, there := m.blocks[code]; there {
		return false, nil
	}
	if err := m.take(len(data)); err != nil {
		return false, err
	}
	m.blocks[code] = bytes.Clone(data)
	m.bytes += uint64(len(data))
	m.unsorted = append(m.unsorted, code)
	return true, nil
}

// Replace implements [Backend].
func (m *Memory) Replace(_ context.Context, code Code, data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	change := len(data) - len(m.blocks[code])
	if err := m.take(change); err != nil {
		return err
	}
	m.blocks[code] = bytes.Clone(data)
	m.bytes += uint64(change) //nolint:gosec // no less than nothing when it is added
	return nil
}

// take accounts for n bytes more. m.mu is held.
func (m *Memory) take(n int) error {
	sum := m.taken + uint64(n) //nolint:gosec // a length, or a difference of two, with which it stays one
	if m.limit > 0 && sum > m.limit {
		return fmt.Errorf("%w: %d bytes of %d are in use, no room for %d more", ErrFull, m.taken, m.limit, n)
	}
	m.taken = sum
	return nil
}

// Get implements [Backend].
func (m *Memory) Get(_ context.Context, code Code) ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	data, there := m.blocks[code]
	if !there {
		return nil, fmt.Errorf("%v: %w", code, ErrMissing)
	}
	return bytes.Clone(data), nil
}

// Has implements [Backend].
func (m *Memory) Has(_ context.Context, code Code) (bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	_, there := m.blocks[code]
	return there, nil
}

// Codes implements [Backend].
func (m *Memory) Codes(_ context.Context, start Code) iter.Seq2[Code, error] {
	return func(yield func(Code, error) bool) {
		codes := m.codes()
		first, _ := slices.BinarySearchFunc(codes, start, Code.Compare)
		for _, c := range codes[first:] {
			if !yield(c, nil) {
				return
			}
		}
	}
}

// codes returns all codes in order. The slice is not changed any more.
func (m *Memory) codes() []Code {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.unsorted) > 0 {
		m.sorted = slices.Concat(m.sorted, m.unsorted) // a new slice: the old one may be in use
		m.unsorted = nil
		slices.SortFunc(m.sorted, Code.Compare)
	}
	return m.sorted
}

// Length implements [Backend].
func (m *Memory) Length(context.Context) (uint64, error) { return m.Usage().Blocks, nil }

// Usage implements [Measured].
func (m *Memory) Usage() Usage {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return Usage{Blocks: uint64(len(m.blocks)), Bytes: m.bytes}
}

// Sync implements [Backend]: nothing here is durable.
func (m *Memory) Sync(context.Context) error { return nil }

// Close implements [Backend].
func (m *Memory) Close() error { return nil }

// Archives implements [Backend].
func (m *Memory) Archives() (Archives, error) { return (*memoryArchives)(m), nil }

type memoryArchives Memory

func (a *memoryArchives) Append(_ context.Context, name ArchiveName, entry []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := (*Memory)(a).take(len(entry)); err != nil {
		return err
	}
	a.archives[name] = append(a.archives[name], bytes.Clone(entry))
	return nil
}

func (a *memoryArchives) entries(name ArchiveName) [][]byte {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.archives[name] // which only grows, behind what this slice sees
}

func (a *memoryArchives) Last(_ context.Context, name ArchiveName) ([]byte, error) {
	list := a.entries(name)
	if len(list) == 0 {
		return nil, fmt.Errorf("archive %q: %w", name, ErrMissing)
	}
	return bytes.Clone(list[len(list)-1]), nil
}

func (a *memoryArchives) Entries(_ context.Context, name ArchiveName) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, e := range a.entries(name) {
			if !yield(bytes.Clone(e), nil) {
				return
			}
		}
	}
}
