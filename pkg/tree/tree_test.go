package tree

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/store"
)

func TestRoundTrip(t *testing.T) {
	for seed := range uint64(2) {
		source, dest := plant(t, seed*1000), t.TempDir()
		s := newMemory(t)
		var progress Progress
		root, err := Put(t.Context(), s, source, Options{Progress: &progress, Notice: noticed(t)})
		if err != nil {
			t.Fatal(err)
		}
		c := progress.Counts()
		if blocks, _ := s.Length(t.Context()); c.BlocksMoved != blocks || c.BytesMoved != s.Usage().Bytes || s.twice != 0 {
			t.Errorf("%+v, but the store has %+v, %d blocks were sent twice", c, s.Usage(), s.twice)
		}
		if err := Check(t.Context(), s, root, Options{}); err != nil {
			t.Errorf("Check: %v", err)
		}
		if err := Get(t.Context(), s, root, dest, Options{Notice: noticed(t)}); err != nil {
			t.Fatal(err)
		}
		same(t, dest, source)

		// Again: nothing moves.
		again := new(Progress)
		second, err := Put(t.Context(), s, dest, Options{Progress: again, Notice: noticed(t)})
		if err != nil {
			t.Fatal(err)
		}
		if text(t, second) != text(t, root) {
			t.Errorf("the copy is %+v, the source %+v", second.Block, root.Block)
		}
		if n := again.Counts().BlocksMoved; n != 0 {
			t.Errorf("%d blocks were sent again", n)
		}
		gets := s.gets.Load()
		again = new(Progress)
		if err := Get(t.Context(), s, root, dest, Options{Progress: again, Notice: noticed(t)}); err != nil {
			t.Fatal(err)
		}
		if n := again.Counts().BlocksMoved; n != 0 {
			t.Errorf("%d blocks were fetched again, of %d gets", n, s.gets.Load()-gets)
		}
		same(t, dest, source)
	}
}

func TestOneFile(t *testing.T) {
	s := newMemory(t)
	for _, size := range []int{0, 1, MinChunk, MinChunk + 1, 5 << 20} {
		data := random(uint64(size), size)
		name := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(name, data, 0o640); err != nil {
			t.Fatal(err)
		}
		byName, err := Put(t.Context(), s, name, Options{Notice: noticed(t)})
		if err != nil {
			t.Fatal(err)
		}
		root, err := PutReader(t.Context(), s, bytes.NewReader(data), Options{})
		if err != nil {
			t.Fatal(err)
		}
		r, err := ReferenceTo(root)
		if err != nil {
			t.Fatal(err)
		}
		if named, err := ReferenceTo(byName); err != nil || named.String() != r.String() {
			t.Errorf("%d bytes: %v by name, %v read", size, named, r)
		}
		back, err := ParseReference(r.String())
		if err != nil || back.String() != r.String() {
			t.Errorf("%v reads as %v, %v", r, back, err)
		}
		dest := filepath.Join(t.TempDir(), "copy")
		if err := Get(t.Context(), s, back.Dirent(), dest, Options{Durable: true}); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(dest); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes: %d other ones, %v", size, len(got), err)
		}
		var written bytes.Buffer
		if err := Copy(t.Context(), s, back.Dirent(), &written, Options{MaxBlocks: 3}); err != nil || !bytes.Equal(written.Bytes(), data) {
			t.Errorf("%d bytes: copied %d other ones, %v", size, written.Len(), err)
		}
		if size > 1<<20 {
			full := errors.New("full")
			if err := Copy(t.Context(), s, back.Dirent(), failing{full}, Options{}); !errors.Is(err, full) {
				t.Errorf("%d bytes to who takes none: %v", size, err)
			}
		}
	}
	if _, err := Put(t.Context(), s, filepath.Join(t.TempDir(), "nothing"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Put of nothing: %v", err)
	}
	if _, err := Put(t.Context(), s, os.DevNull, Options{}); !errors.Is(err, ErrSpecial) {
		t.Errorf("Put of a device: %v", err)
	}
}

func text(t testing.TB, d store.Dirent) string {
	t.Helper()
	r, err := ReferenceTo(d)
	if err != nil {
		t.Fatal(err)
	}
	return r.String()
}

// ordered is a store that notes when each block began to be added, and when it was.
type ordered struct {
	Store
	mu           sync.Mutex
	begun, ended map[store.Code]int
}

func (o *ordered) note(m map[store.Code]int, code store.Code) {
	o.mu.Lock()
	defer o.mu.Unlock()
	m[code] = len(o.begun) + len(o.ended)
}

func (o *ordered) AddAs(ctx context.Context, code store.Code, data []byte) error {
	o.note(o.begun, code)
	err := o.Store.AddAs(ctx, code, data)
	o.note(o.ended, code)
	return err
}

// No block is sent before all that it refers to are stored, so that no store has one
// without the other.
func TestChildrenBeforeParents(t *testing.T) {
	m := newMemory(t)
	o := &ordered{Store: m, begun: make(map[store.Code]int), ended: make(map[store.Code]int)}
	root, err := Put(t.Context(), o, plant(t, 21), Options{})
	if err != nil {
		t.Fatal(err)
	}
	pairs := 0
	after := func(parent, child store.Code) {
		if pairs++; o.begun[parent] <= o.ended[child] {
			t.Errorf("%v began to be sent before %v was stored", parent, child)
		}
	}
	refer := func(parent store.Code, ref store.Ref) {
		if ref.Type != store.RefBlock {
			return
		}
		after(parent, ref.Code)
		if !ref.Indirect {
			return
		}
		data, err := m.Get(t.Context(), ref.Code)
		if err != nil {
			t.Fatal(err)
		}
		refs, err := store.ParseRefs(data)
		if err != nil {
			t.Fatal(err)
		}
		for _, child := range refs {
			after(ref.Code, child.Code)
		}
	}
	var look func(dir store.Dirent)
	look = func(dir store.Dirent) {
		for d, err := range Entries(t.Context(), m, dir, Limits{}) {
			if err != nil {
				t.Fatal(err)
			}
			if d.Block != nil && dir.Block.Type == store.RefBlock {
				refer(dir.Block.Code, *d.Block)
			}
			if d.Type == store.DirentDirectory {
				look(d)
			}
		}
	}
	look(root)
	if pairs < 300 {
		t.Errorf("only %d pairs", pairs)
	}
}

// failing takes nothing.
type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
