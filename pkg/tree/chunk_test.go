package tree

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/iotest"
	"time"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// cut returns the sizes and the codes of the chunks that r is cut into.
func cut(t testing.TB, r io.Reader) (sizes []int, codes []store.Code) {
	t.Helper()
	c, err := newChunker(r)
	if err != nil {
		t.Fatal(err)
	}
	defer c.release()
	for {
		chunk, err := c.next()
		if errors.Is(err, io.EOF) {
			return sizes, codes
		}
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(chunk))
		codes = append(codes, store.BLAKE3.Sum(chunk))
	}
}

// Where data are cut must never change: stores would have to keep everything anew.
func TestChunksNeverChange(t *testing.T) {
	sizes, codes := cut(t, bytes.NewReader(random(1, 2<<20)))
	want := []int{168889, 167047, 208764, 211347, 145061, 176689, 245687, 136766, 137072, 149834, 142026, 161004, 46966}
	if !slices.Equal(sizes, want) {
		t.Errorf("cut into %#v, want %#v", sizes, want)
	}
	if got := store.ChecksumOf(store.BLAKE3, codes).Hash.String(); got != "blake3:eda0e993abc1bf1065c43aec06a7b0f4e9938d8084dc667dce22e6c7a44891f0" {
		t.Errorf("checksum of the chunks %s", got)
	}
	if sizes, _ := cut(t, bytes.NewReader(make([]byte, 3<<20+5))); !slices.Equal(sizes, []int{1 << 20, 1 << 20, 1 << 20, 5}) {
		t.Errorf("zeros are cut into %v", sizes)
	}
}

// Nor may the form of files and directories.
func TestTreesNeverChange(t *testing.T) {
	dir := t.TempDir()
	at := time.Unix(1_700_000_000, 250_000_000)
	for name, size := range map[string]int{"empty": 0, "small": 100, "some chunks": 1 << 20} {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, random(7, size), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Chmod(name, 0o640), os.Chtimes(name, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink("small", filepath.Join(dir, "link")), os.Mkdir(filepath.Join(dir, "sub"), 0o755),
		os.Chmod(filepath.Join(dir, "sub"), 0o755), os.Chtimes(filepath.Join(dir, "sub"), at, at)); err != nil {
		t.Fatal(err)
	}
	root, err := Put(t.Context(), newMemory(t), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := text(t, root), "dir:blake3:66807b35608a78e8e41cc78b8364d7496dc6034750c759b8e37b519fb2d28bce@297"; got != want {
		t.Errorf("the tree is %s, want %s", got, want)
	}
}

// How r gives its bytes makes no difference; all but the last chunk have at least
// MinChunk, and none has more than MaxChunk.
func TestChunkSizes(t *testing.T) {
	for _, n := range []int{0, 1, MinChunk - 1, MinChunk, MinChunk + 1, AverageChunk, MaxChunk, MaxChunk + 1, 9 << 20} {
		data := random(uint64(n), n)
		sizes, codes := cut(t, bytes.NewReader(data))
		sum := 0
		for i, size := range sizes {
			sum += size
			if size > MaxChunk || size < MinChunk && i < len(sizes)-1 {
				t.Errorf("%d bytes: chunk no. %d has %d", n, i, size)
			}
		}
		if sum != n {
			t.Errorf("%d bytes are cut into %d", n, sum)
		}
		if n > 1<<20 {
			continue
		}
		if _, other := cut(t, iotest.HalfReader(iotest.DataErrReader(bytes.NewReader(data)))); !slices.Equal(codes, other) {
			t.Errorf("%d bytes are cut otherwise when they come in parts", n)
		}
	}
}

// A byte more in front changes few chunks.
func TestChunksAreFoundAgain(t *testing.T) {
	data := random(3, 8<<20)
	_, before := cut(t, bytes.NewReader(data))
	_, after := cut(t, bytes.NewReader(append([]byte{1}, data...)))
	found := 0
	for _, code := range after {
		if slices.Contains(before, code) {
			found++
		}
	}
	if found < len(after)-5 {
		t.Errorf("of %d chunks only %d are the same", len(after), found)
	}
}

func BenchmarkChunks(b *testing.B) {
	data := random(1, 32<<20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		c, err := newChunker(bytes.NewReader(data))
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			_, err = c.next()
		}
		c.release()
	}
}
