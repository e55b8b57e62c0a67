package tree

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// A block that comes many times is fetched once, by Get and by Copy, and is counted as
// moved once.
func TestRepeatedBlocksAreFetchedOnce(t *testing.T) {
	m := newMemory(t)
	data := append(make([]byte, 40<<20), "end"...)
	root, err := PutReader(t.Context(), m, bytes.NewReader(data), Options{})
	if err != nil {
		t.Fatal(err)
	}
	blocks, _ := m.Length(t.Context())
	dest := filepath.Join(t.TempDir(), "file")
	var copied bytes.Buffer
	for name, run := range map[string]func(Options) error{
		"get":  func(o Options) error { return Get(t.Context(), m, root, dest, o) },
		"copy": func(o Options) error { return Copy(t.Context(), m, root, &copied, o) },
	} {
		var got atomic.Int64
		m.onGet = func(store.Code) ([]byte, error) { got.Add(1); return nil, nil }
		var p Progress
		if err := run(Options{Progress: &p}); err != nil {
			t.Fatal(err)
		}
		if n := uint64(got.Load()); n > blocks {
			t.Errorf("%s: %d blocks were fetched, of %d", name, n, blocks)
		}
		if c := p.Counts(); c.Bytes != uint64(len(data)) || c.BytesMoved+c.BytesThere != c.Bytes || c.BlocksMoved >= blocks {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if got, err := os.ReadFile(dest); err != nil || !bytes.Equal(got, data) || !bytes.Equal(copied.Bytes(), data) {
		t.Errorf("not the same: %v", err)
	}
}

// What is kept is bounded, whatever the blocks' sizes are.
func TestRecentIsBounded(t *testing.T) {
	m := newMemory(t)
	o := (Options{MaxBytes: 64 << 10}).filled()
	f, _ := newRecent(&reader{m, o.Limits}, o)
	for i := range 500 {
		block := random(uint64(i), []int{1, 100, 5000, 15 << 10, 17 << 10}[i%5])
		m.put(t, block)
		p := piece{size: uint64(len(block)), ref: store.Ref{Type: store.RefBlock, Code: m.Class().Sum(block), Span: uint64(len(block))}}
		if got, err := f.piece(t.Context(), &p, o.Progress); err != nil || !bytes.Equal(got, block) {
			t.Fatalf("block %d: %v", i, err)
		}
		held := 0
		for _, kept := range f.kept.Values() {
			held += len(kept) + recentCharge
		}
		if held != f.bytes || held > 16<<10 || len(f.flying) > 0 {
			t.Fatalf("block %d: %d bytes are kept, counted as %d; %d are on their way", i, held, f.bytes, len(f.flying))
		}
		p.ref.Span++
		if _, err := f.piece(t.Context(), &p, o.Progress); err == nil {
			t.Errorf("block %d: a reference to more than it has", i)
		}
	}
}

// Who waited for a block that another could not get asks for it again.
func TestRecentSurvivesAnotherFailure(t *testing.T) {
	m := newMemory(t)
	block := random(1, 1000)
	m.put(t, block)
	o := (Options{}).filled()
	f, _ := newRecent(&reader{m, o.Limits}, o)
	p := piece{size: 1000, ref: store.Ref{Type: store.RefBlock, Code: m.Class().Sum(block), Span: 1000}}
	asked, fail := make(chan struct{}), make(chan struct{})
	var n atomic.Int64
	m.onGet = func(store.Code) ([]byte, error) {
		if n.Add(1) > 1 {
			return nil, nil
		}
		close(asked)
		<-fail
		return nil, fmt.Errorf("its file failed: %w", context.Canceled)
	}
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { _, err := f.piece(t.Context(), &p, o.Progress); first <- err }()
	<-asked
	go func() { _, err := f.piece(t.Context(), &p, o.Progress); second <- err }()
	close(fail)
	if err := <-first; err == nil {
		t.Error("the first had no error")
	}
	if err := <-second; err != nil {
		t.Errorf("the second: %v", err)
	}
}
