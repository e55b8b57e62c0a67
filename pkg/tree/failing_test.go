package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/store"
)

var errNoRoom = errors.New("no room")

// onlyMap is a store in a map. What is refused is an error.
type onlyMap struct {
	Store
	mu      sync.Mutex
	blocks  map[store.Code][]byte
	refused func(code store.Code) bool
}

func (*onlyMap) Class() store.Class          { return store.BLAKE3 }
func (*onlyMap) Flush(context.Context) error { return nil }

func (m *onlyMap) Contains(_ context.Context, code store.Code) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.blocks[code] != nil, nil
}

func (m *onlyMap) AddAs(_ context.Context, code store.Code, data []byte) error {
	if m.refused(code) {
		return errNoRoom
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.blocks[code] = bytes.Clone(data)
	return nil
}

func (m *onlyMap) Get(_ context.Context, code store.Code) ([]byte, error) {
	if m.refused(code) {
		return nil, errNoRoom
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.blocks[code], nil
}

// broken returns a store that cannot give one block of a file, the file, and its data.
func broken(t *testing.T, at int) (m *onlyMap, file store.Dirent, data []byte) {
	m = &onlyMap{blocks: make(map[store.Code][]byte)}
	var refs []store.Ref
	for n := range 20 {
		block := []byte(fmt.Sprintf("%04d", n))
		code := store.BLAKE3.Sum(block)
		m.blocks[code] = block
		data = append(data, block...)
		refs = append(refs, store.Ref{Span: 4, Code: code})
	}
	m.refused = func(code store.Code) bool { return code == refs[at].Code }
	list, err := store.AppendRefs(nil, refs...)
	if err != nil {
		t.Fatal(err)
	}
	root := store.BLAKE3.Sum(list)
	m.blocks[root] = list
	return m, fileOf("file", store.Ref{Indirect: true, Span: uint64(len(data)), Code: root}), data
}

// often calls f until a race has been met, if there is one.
func often(f func()) {
	rounds := 20_000
	if raceDetector {
		rounds = 2_000
	}
	for range rounds {
		f()
	}
}

// Behind a block that cannot be got nothing is written, whoever learns of it first.
func TestCopyStopsAtAFailure(t *testing.T) {
	m, file, data := broken(t, 3)
	often(func() {
		var out bytes.Buffer
		if err := Copy(t.Context(), m, file, &out, Options{}); !errors.Is(err, errNoRoom) {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(data, out.Bytes()) {
			t.Fatalf("%q was written", &out)
		}
	})
}

// A file without one of its blocks does not get its name.
func TestGetStopsAtAFailure(t *testing.T) {
	m, file, _ := broken(t, 19)
	dest := filepath.Join(t.TempDir(), "file")
	often(func() {
		if err := Get(t.Context(), m, file, dest, Options{}); !errors.Is(err, errNoRoom) {
			t.Fatal(err)
		}
		if _, err := os.Lstat(dest); err == nil {
			t.Fatal("the file is there")
		}
	})
}

// A directory is not sent when a file in it could not be.
func TestPutStopsAtAFailure(t *testing.T) {
	source := t.TempDir()
	if err := os.WriteFile(filepath.Join(source, "file"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := &onlyMap{blocks: make(map[store.Code][]byte)}
	m.refused = func(code store.Code) bool { return code == store.BLAKE3.Sum([]byte("text")) }
	for range 2_000 {
		if _, err := Put(t.Context(), m, source, Options{}); !errors.Is(err, errNoRoom) {
			t.Fatal(err)
		}
		if len(m.blocks) > 0 {
			t.Fatal("the directory is in the store, and the file is not")
		}
	}
}
