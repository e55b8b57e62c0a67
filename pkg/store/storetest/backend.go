// Package storetest tests implementations of [store.Backend].
package storetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// TestBackend tests what every backend promises. Open returns an empty one of a
// class; the test closes it.
func TestBackend(t *testing.T, open func(t *testing.T, class store.Class) store.Backend) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, store.Backend)
	}{
		{"blocks", testBlocks},
		{"replaced blocks", testReplace},
		{"codes", testCodes},
		{"concurrent puts", testConcurrentPuts},
		{"codes while putting", testCodesWhilePutting},
		{"archives", testArchives},
		{"ended context", testEndedContext},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, class := range []store.Class{store.SHA1, store.BLAKE3} {
				t.Run(class.String(), func(t *testing.T) {
					b := open(t, class)
					defer func() {
						if err := b.Close(); err != nil {
							t.Errorf("Close: %v", err)
						}
					}()
					if got := b.Class(); got != class {
						t.Fatalf("Class is %v, want %v", got, class)
					}
					test.run(t, b)
				})
			}
		})
	}
}

// Block returns bytes that differ for every n, and cannot be compressed.
func Block(n, size int) []byte {
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], uint64(n)) //nolint:gosec // any number does
	b := make([]byte, size)
	_, _ = rand.NewChaCha8(seed).Read(b)
	return b
}

// Put stores a block and returns its code.
func Put(t testing.TB, b store.Backend, data []byte) store.Code {
	t.Helper()
	code := b.Class().Sum(data)
	if _, err := b.Put(t.Context(), code, data); err != nil {
		t.Fatalf("Put %d bytes: %v", len(data), err)
	}
	return code
}

func testBlocks(t *testing.T, b store.Backend) {
	ctx := t.Context()
	for _, size := range []int{0, 1, 100, 4 << 10, 64 << 10, 1<<20 + 1} {
		data := Block(size, size)
		code := b.Class().Sum(data)
		if has, err := b.Has(ctx, code); has || err != nil {
			t.Errorf("%d bytes: Has before Put: %v, %v", size, has, err)
		}
		if _, err := b.Get(ctx, code); !errors.Is(err, store.ErrMissing) {
			t.Errorf("%d bytes: Get before Put: %v, want ErrMissing", size, err)
		}
		given := bytes.Clone(data)
		for i, want := range []bool{true, false} {
			added, err := b.Put(ctx, code, given)
			if err != nil || added != want {
				t.Fatalf("%d bytes: Put no. %d: %v, %v, want %v", size, i, added, err, want)
			}
		}
		clear(given) // which is the caller's
		for range 2 {
			got, err := b.Get(ctx, code)
			if err != nil || !bytes.Equal(got, data) {
				t.Fatalf("%d bytes: Get: %d other bytes, %v", size, len(got), err)
			}
			clear(got) // which is the caller's, too
		}
		if has, err := b.Has(ctx, code); !has || err != nil {
			t.Errorf("%d bytes: Has after Put: %v, %v", size, has, err)
		}
	}
	if n, err := b.Length(ctx); n != 6 || err != nil {
		t.Errorf("Length is %d, %v, want 6", n, err)
	}
	if err := b.Sync(ctx); err != nil {
		t.Errorf("Sync: %v", err)
	}
}

// A backend does not check hashes, so that a damaged block can be made by putting it.
func testReplace(t *testing.T, b store.Backend) {
	ctx := t.Context()
	for _, size := range []int{0, 1, 64 << 10} {
		good := Block(size, size)
		code := b.Class().Sum(good)
		if _, err := b.Put(ctx, code, []byte("damaged")); err != nil {
			t.Fatal(err)
		}
		if got, err := b.Get(ctx, code); string(got) != "damaged" || err != nil {
			t.Fatalf("%d bytes: Get before Replace: %d bytes, %v", size, len(got), err)
		}
		given := bytes.Clone(good)
		if err := b.Replace(ctx, code, given); err != nil {
			t.Fatalf("%d bytes: Replace: %v", size, err)
		}
		clear(given) // which is the caller's
		if got, err := b.Get(ctx, code); !bytes.Equal(got, good) || err != nil {
			t.Errorf("%d bytes: Get after Replace: %d other bytes, %v", size, len(got), err)
		}
		if added, err := b.Put(ctx, code, good); added || err != nil {
			t.Errorf("%d bytes: Put after Replace: %v, %v, want that it is there", size, added, err)
		}
	}
	if n, err := b.Length(ctx); n != 3 || err != nil {
		t.Errorf("Length is %d, %v, want 3", n, err)
	}
	if got := codes(t, b.Codes(ctx, none(b))); len(got) != 3 {
		t.Errorf("%d codes, want 3: %v", len(got), got)
	}
}

func testCodes(t *testing.T, b store.Backend) {
	if got := codes(t, b.Codes(t.Context(), none(b))); len(got) != 0 {
		t.Errorf("codes of an empty store: %v", got)
	}
	var all []store.Code
	for n := range 300 {
		all = append(all, Put(t, b, Block(n, 10)))
	}
	slices.SortFunc(all, store.Code.Compare)
	absent := b.Class().Sum([]byte("absent"))
	above, _ := slices.BinarySearchFunc(all, absent, store.Code.Compare)
	for _, test := range []struct {
		name  string
		start store.Code
		want  []store.Code
	}{
		{"no start", none(b), all},
		{"the first", all[0], all},
		{"one in the middle", all[150], all[150:]},
		{"the last", all[299], all[299:]},
		{"one that is not there", absent, all[above:]},
	} {
		if got := codes(t, b.Codes(t.Context(), test.start)); !slices.Equal(got, test.want) {
			t.Errorf("%s: %d codes, want %d, in order", test.name, len(got), len(test.want))
		}
	}
	for _, err := range b.Codes(t.Context(), none(b)) {
		if err != nil {
			t.Errorf("Codes: %v", err)
		}
		break // must end the sequence without a fuss
	}
}

// none is the start of all codes.
func none(b store.Backend) store.Code {
	code, err := store.NewCode(b.Class(), make([]byte, b.Class().Size()))
	if err != nil {
		panic(err)
	}
	return code
}

func codes(t testing.TB, seq iter.Seq2[store.Code, error]) (list []store.Code) {
	t.Helper()
	for code, err := range seq {
		if err != nil {
			t.Fatalf("Codes: %v", err)
		}
		list = append(list, code)
	}
	return list
}

// testConcurrentPuts lets several put the same blocks: each is new once.
func testConcurrentPuts(t *testing.T, b store.Backend) {
	const blocks, putters = 100, 8
	var mu sync.Mutex
	added := make(map[store.Code]int)
	var all sync.WaitGroup
	for range putters {
		all.Go(func() {
			for n := range blocks {
				data := Block(n, 1000)
				code := b.Class().Sum(data)
				is, err := b.Put(t.Context(), code, data)
				if err != nil {
					t.Errorf("Put: %v", err)
				}
				if got, err := b.Get(t.Context(), code); err != nil || !bytes.Equal(got, data) {
					t.Errorf("Get after Put: %d bytes, %v", len(got), err)
				}
				if is {
					mu.Lock()
					added[code]++
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	for code, n := range added {
		if n != 1 {
			t.Errorf("%v was new %d times", code, n)
		}
	}
	if n, err := b.Length(t.Context()); n != blocks || len(added) != blocks || err != nil {
		t.Errorf("Length is %d, %v, and %d were new, want %d", n, err, len(added), blocks)
	}
}

// testCodesWhilePutting checks that a list has nothing twice and leaves nothing out
// that was there before.
func testCodesWhilePutting(t *testing.T, b store.Backend) {
	before := make(map[store.Code]bool)
	for n := range 200 {
		before[Put(t, b, Block(n, 10))] = true
	}
	stop := make(chan struct{})
	var putting sync.WaitGroup
	putting.Go(func() {
		for n := 1000; ; n++ {
			select {
			case <-stop:
				return
			default:
				data := Block(n, 10)
				if _, err := b.Put(t.Context(), b.Class().Sum(data), data); err != nil {
					t.Errorf("Put: %v", err)
					return
				}
			}
		}
	})
	for range 5 {
		found, low := 0, store.Code{}
		for i, code := range codes(t, b.Codes(t.Context(), none(b))) {
			if i > 0 && code.Compare(low) <= 0 {
				t.Errorf("%v comes after %v", code, low)
			}
			if low = code; before[code] {
				found++
			}
		}
		if found != len(before) {
			t.Errorf("%d codes listed that were there before, want %d", found, len(before))
		}
	}
	close(stop)
	putting.Wait()
}

func testArchives(t *testing.T, b store.Backend) {
	ctx := t.Context()
	archives, err := b.Archives()
	if err != nil {
		if !errors.Is(err, store.ErrNoArchives) {
			t.Errorf("Archives: %v, want ErrNoArchives", err)
		}
		t.Skipf("this backend has none: %v", err)
	}
	if _, err := archives.Last(ctx, "a"); !errors.Is(err, store.ErrMissing) {
		t.Errorf("Last of an empty archive: %v, want ErrMissing", err)
	}
	want := make(map[store.ArchiveName][]string)
	for i := range 25 {
		// Names that are the beginnings of others, and bytes that separate nothing.
		for _, name := range []store.ArchiveName{"a", "ab", "a b", "é", "a\u00a1"} {
			entry := fmt.Sprintf("%s no. %d", name, i)
			if err := archives.Append(ctx, name, []byte(entry)); err != nil {
				t.Fatalf("Append: %v", err)
			}
			want[name] = append(want[name], entry)
			if last, err := archives.Last(ctx, name); string(last) != entry || err != nil {
				t.Fatalf("Last of %q is %q, %v, want %q", name, last, err, entry)
			}
		}
	}
	for name, want := range want {
		if got := entries(t, archives, name); !slices.Equal(got, want) {
			t.Errorf("entries of %q: %q, want %q", name, got, want)
		}
	}
	if n, err := b.Length(ctx); n != 0 || err != nil {
		t.Errorf("Length is %d, %v: entries are no blocks", n, err)
	}

	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for n := range 10 {
				if err := archives.Append(ctx, "many", fmt.Appendf(nil, "%d %d", i, n)); err != nil {
					t.Errorf("Append: %v", err)
				}
			}
		})
	}
	all.Wait()
	got := entries(t, archives, "many")
	if len(got) != 40 {
		t.Errorf("%d entries of four that append at a time, want 40", len(got))
	}
	next := make(map[string]string)
	for _, e := range got {
		var who, n int
		_, _ = fmt.Sscan(e, &who, &n)
		if want, ok := next[e[:1]]; ok && e != want {
			t.Errorf("entry %q, want %q: the order of one who appends", e, want)
		}
		next[e[:1]] = fmt.Sprintf("%d %d", who, n+1)
	}
}

func entries(t testing.TB, a store.Archives, name store.ArchiveName) (list []string) {
	t.Helper()
	for entry, err := range a.Entries(t.Context(), name) {
		if err != nil {
			t.Fatalf("Entries: %v", err)
		}
		list = append(list, string(entry))
	}
	return list
}

// testEndedContext checks that an ended context does no harm: whatever is done or
// not, what is reported is true.
func testEndedContext(t *testing.T, b store.Backend) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	data := Block(1, 1000)
	code := b.Class().Sum(data)
	_, err := b.Put(ctx, code, data)
	has, hasErr := b.Has(t.Context(), code)
	if hasErr != nil || err == nil && !has {
		t.Errorf("Put said %v, Has says %v, %v", err, has, hasErr)
	}
	if got, err := b.Get(ctx, code); err == nil && !bytes.Equal(got, data) {
		t.Errorf("Get: %d other bytes", len(got))
	}
}
