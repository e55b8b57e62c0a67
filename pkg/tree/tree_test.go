package tree

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
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
