package disk

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/storetest"
)

// A file of values that is missing, or that is not as long as it was, is like any other
// damage: what is in it is refused, and can be added again. The engine panics then.
func TestBrokenFiles(t *testing.T) {
	const blocks = 40
	const archive = store.ArchiveName("a")
	block := func(n int) []byte { return storetest.Block(n, 100+n*300) }
	entry := storetest.Block(0, 2*separated)
	for name, change := range map[string]func(data []byte) []byte{
		"missing":   func([]byte) []byte { return nil },
		"empty":     func(data []byte) []byte { return data[:0] },
		"cut":       func(data []byte) []byte { return data[:len(data)-1] },
		"longer":    func(data []byte) []byte { return append(data, 0) },
		"other end": func(data []byte) []byte { data[len(data)-3] ^= 1; return data },
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Dir: "store", Class: store.BLAKE3, Buffer: 1 << 20, fs: vfs.NewMem()}
			s := opening(t, o)
			for n := range blocks {
				storetest.Put(t, s, block(n))
			}
			lists, _ := s.Archives()
			if err := lists.Append(t.Context(), archive, entry); err != nil {
				t.Fatal(err)
			}
			if err := s.db.Flush(); err != nil {
				t.Fatal(err)
			}
			closed(t, s)
			if n := rewrite(t, o.fs, ".blob", change); n == 0 {
				t.Fatal("there is no file of values")
			}

			s = opening(t, o)
			lists, _ = s.Archives()
			refused := 0
			for n := range blocks {
				code := o.Class.Sum(block(n))
				switch data, err := s.Get(t.Context(), code); {
				case errors.Is(err, store.ErrCorrupt):
					refused++
					if err := s.Replace(t.Context(), code, block(n)); err != nil {
						t.Errorf("Replace: %v", err)
					}
				case err != nil || !bytes.Equal(data, block(n)):
					t.Errorf("block %d: %d bytes, %v", n, len(data), err)
				}
			}
			if want := blocks - 4; refused != want { // the others are beside their keys
				t.Errorf("%d blocks are refused, want %d", refused, want)
			}
			if _, err := lists.Last(t.Context(), archive); !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("the last entry: %v, want ErrCorrupt", err)
			}
			if err := lists.Append(t.Context(), archive, []byte("next")); err != nil {
				t.Errorf("an archive with a damaged entry takes no other: %v", err)
			}
			if last, err := lists.Last(t.Context(), archive); string(last) != "next" || err != nil {
				t.Errorf("the last entry is %q, %v", last, err)
			}
			if s.Err() != nil || s.Stats().Corruptions == 0 {
				t.Errorf("failed: %v, %d corruptions", s.Err(), s.Stats().Corruptions)
			}
			closed(t, s) // nothing of the engine is held any more

			s = opening(t, o)
			for n := range blocks {
				if data, err := s.Get(t.Context(), o.Class.Sum(block(n))); !bytes.Equal(data, block(n)) || err != nil {
					t.Errorf("block %d after it was replaced: %d bytes, %v", n, len(data), err)
				}
			}
			closed(t, s)
		})
	}
}

// rewrite changes files whose names end so, or removes them where change returns nil. It
// returns how many there are.
func rewrite(t *testing.T, fs vfs.FS, suffix string, change func([]byte) []byte) (n int) {
	t.Helper()
	names, err := fs.List("store")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(slices.Values(names)) {
		if !strings.HasSuffix(name, suffix) {
			continue
		}
		n++
		name = fs.PathJoin("store", name)
		data := contentsOf(t, fs, name)
		if err := fs.Remove(name); err != nil {
			t.Fatal(err)
		}
		if data = change(data); data == nil {
			continue
		}
		f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Write(data)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func contentsOf(t *testing.T, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, info.Size())
	if _, err := f.ReadAt(data, 0); err != nil {
		t.Fatal(err)
	}
	return data
}
