package disk

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/storetest"
)

func TestBackend(t *testing.T) {
	storetest.TestBackend(t, func(t *testing.T, class store.Class) store.Backend {
		return opening(t, Options{Dir: t.TempDir(), Class: class})
	})
}

// opening opens a store, which the test closes.
func opening(t *testing.T, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closed(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

// What is in the directory is there again, and counted, on a real file system.
func TestOpenAgain(t *testing.T) {
	o := Options{Dir: t.TempDir(), Class: store.SHA256, Buffer: 1 << 20}
	var want []store.Code
	var size uint64
	for round := range 3 {
		s := opening(t, o)
		if got := s.Usage(); got != (store.Usage{Blocks: uint64(len(want)), Bytes: size}) {
			t.Errorf("round %d: usage %+v, want %d blocks, %d bytes", round, got, len(want), size)
		}
		for n := range 1200 { // more than a page
			data := storetest.Block(10_000*round+n, n)
			if round == 0 || n > 0 { // the empty one is there
				want = append(want, storetest.Put(t, s, data))
				size += uint64(len(data))
			}
		}
		a, _ := s.Archives()
		for n := range 1200 {
			if err := a.Append(t.Context(), "a", fmt.Append(nil, round, " ", n)); err != nil {
				t.Fatal(err)
			}
		}
		slices.SortFunc(want, store.Code.Compare)
		var got []store.Code
		for code, err := range s.Codes(t.Context(), store.Code{}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, code)
		}
		if !slices.Equal(got, want) {
			t.Errorf("round %d: %d codes listed, want %d", round, len(got), len(want))
		}
		n := 0
		for entry, err := range a.Entries(t.Context(), "a") {
			if want := fmt.Sprint(n/1200, " ", n%1200); string(entry) != want || err != nil {
				t.Fatalf("entry %d is %q, %v, want %q", n, entry, err, want)
			}
			n++
		}
		if n != 1200*(round+1) {
			t.Errorf("round %d: %d entries", round, n)
		}
		closed(t, s)
	}
}

func TestOptions(t *testing.T) {
	for _, test := range []struct {
		name string
		o    Options
		want string
	}{
		{"no directory", Options{}, "set Dir"},
		{"an unknown class", Options{Dir: "d", Class: 77}, "unknown hash class"},
		{"a small buffer", Options{Dir: "d", Buffer: 1000}, "1 MiB to 1 GiB"},
		{"a negative cache", Options{Dir: "d", Cache: -1}, "a cache of -1 bytes"},
	} {
		test.o.fs = vfs.NewMem()
		if _, err := Open(test.o); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

func TestOtherDirectories(t *testing.T) {
	foreign := func(t *testing.T, fs vfs.FS, key, value string) {
		db, err := pebble.Open("d", &pebble.Options{FS: fs, Logger: engineLog{func(string) {}, newFailure()}})
		if err == nil {
			err = errors.Join(db.Set([]byte(key), []byte(value), pebble.Sync), db.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name string
		make func(*testing.T, vfs.FS)
		is   error
		want string
	}{
		{"another class", func(t *testing.T, fs vfs.FS) {
			closed(t, opening(t, Options{Dir: "d", Class: store.SHA1, fs: fs}))
		}, store.ErrOtherClass, "the directory has sha1, not blake3"},
		{"another format", func(t *testing.T, fs vfs.FS) { foreign(t, fs, "f", "2 blake3") }, nil, `it has format "2", and this program knows format 1`},
		{"something else", func(t *testing.T, fs vfs.FS) { foreign(t, fs, "x", "y") }, nil, "something else than a store"},
		{"in use", func(t *testing.T, fs vfs.FS) {
			s := opening(t, Options{Dir: "d", Class: store.BLAKE3, fs: fs})
			t.Cleanup(func() { closed(t, s) })
		}, ErrInUse, "the store's directory is in use"},
	} {
		t.Run(test.name, func(t *testing.T) {
			fs := vfs.NewMem()
			test.make(t, fs)
			_, err := Open(Options{Dir: "d", Class: store.BLAKE3, fs: fs})
			if err == nil || test.is != nil && !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

// holding is set in a process that has a directory open until its input ends.
const holding = "PKTSVC_DISK_HOLDING"

// Two processes have no directory together; when one is killed the other has it, with
// all that the system had been given.
func TestOtherProcess(t *testing.T) {
	if dir := os.Getenv(holding); dir != "" {
		s := opening(t, Options{Dir: dir})
		storetest.Put(t, s, storetest.Block(1, 1000))
		if err := s.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		fmt.Println("open")
		select {} // until it is killed
	}
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	other := exec.CommandContext(t.Context(), self, "-test.run=^TestOtherProcess$", "-test.timeout=1m")
	other.Env = append(os.Environ(), holding+"="+dir)
	out, err := other.StdoutPipe()
	if err == nil {
		err = other.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "open\n" {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	if _, err := Open(Options{Dir: dir}); !errors.Is(err, ErrInUse) {
		t.Errorf("a second process: %v, want ErrInUse", err)
	}
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = other.Wait() // it was killed
	s := opening(t, Options{Dir: dir})
	defer closed(t, s)
	if data, err := s.Get(t.Context(), s.Class().Sum(storetest.Block(1, 1000))); err != nil || !bytes.Equal(data, storetest.Block(1, 1000)) {
		t.Errorf("after the kill: %d bytes, %v", len(data), err)
	}
}

// roomFS is a file system with as much room as a test likes.
type roomFS struct {
	vfs.FS
	free atomic.Int64
}

func (fs *roomFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: uint64(fs.free.Load())}, nil //nolint:gosec // it is positive
}

// A store without room refuses what is new, and nothing else, until there is room.
func TestFull(t *testing.T) {
	fs := &roomFS{FS: vfs.NewMem()}
	fs.free.Store(10_000)
	s := opening(t, Options{Dir: "d", Class: store.SHA1, Reserve: 1000, fs: fs})
	defer closed(t, s)
	ctx := t.Context()
	old, fresh := storetest.Block(1, 500), storetest.Block(2, 500)
	code := storetest.Put(t, s, old)
	a, _ := s.Archives()
	if err := a.Append(ctx, "a", old); err != nil {
		t.Fatal(err)
	}

	fs.free.Store(1400)
	if _, err := s.Put(ctx, store.SHA1.Sum(fresh), fresh); !errors.Is(err, store.ErrFull) {
		t.Errorf("Put: %v, want ErrFull", err)
	}
	if err := a.Append(ctx, "a", fresh); !errors.Is(err, store.ErrFull) {
		t.Errorf("Append: %v, want ErrFull", err)
	}
	if got, _ := s.free(); s.DiskUsage().Free != uint64(got) || s.DiskUsage().Reserve != uint64(s.options.Reserve) { //nolint:gosec // they are positive
		t.Errorf("the disk's usage is %+v, want %d free and the reserve %d", s.DiskUsage(), got, s.options.Reserve)
	}
	if !s.Stats().Full {
		t.Error("the stats do not say that it is full")
	}
	if added, err := s.Put(ctx, code, old); added || err != nil {
		t.Errorf("Put of what is there: %v, %v", added, err)
	}
	if data, err := s.Get(ctx, code); !bytes.Equal(data, old) || err != nil {
		t.Errorf("Get: %d bytes, %v", len(data), err)
	}
	if last, err := a.Last(ctx, "a"); !bytes.Equal(last, old) || err != nil {
		t.Errorf("Last: %d bytes, %v", len(last), err)
	}
	if err := s.Sync(ctx); err != nil {
		t.Errorf("Sync: %v", err)
	}

	fs.free.Store(10_000)
	storetest.Put(t, s, fresh)
	if s.Stats().Full {
		t.Error("the stats say that it is full")
	}
	if s.Err() != nil {
		t.Errorf("Err: %v", s.Err())
	}
}

// What the engine did is counted, and told.
func TestStats(t *testing.T) {
	var mu sync.Mutex
	var log []string
	s := opening(t, Options{Dir: t.TempDir(), Class: store.SHA256, Buffer: 1 << 20, Log: func(line string) {
		mu.Lock()
		defer mu.Unlock()
		log = append(log, line)
	}})
	for n := range 100 {
		storetest.Put(t, s, storetest.Block(n, 50_000))
		if err := s.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := s.Get(t.Context(), store.SHA256.Sum(storetest.Block(1, 50_000))); err != nil {
			t.Fatal(err)
		}
	}
	got := s.Stats()
	if got.Blocks != 100 || got.Bytes != 5_000_000 || got.Syncs != 100 || got.LogBytes < got.Bytes ||
		got.FlushBytes < got.Bytes || got.DiskBytes < got.Bytes || got.CacheHits == 0 || got.CacheMisses == 0 ||
		got.CacheBytes == 0 || got.FreeBytes == 0 || got.Full || got.Corruptions != 0 || got.BackgroundErrors != 0 {
		t.Errorf("%+v", got)
	}
	closed(t, s)
	mu.Lock()
	defer mu.Unlock()
	if len(log) == 0 {
		t.Error("nothing was logged")
	}
}

// The cache is for blocks, however large the engine's buffers are.
func TestCache(t *testing.T) {
	const blocks = 40
	s := opening(t, Options{Dir: t.TempDir(), Class: store.SHA1, Cache: 8 << 20, Buffer: 8 << 20})
	defer closed(t, s)
	var codes []store.Code
	for n := range 10 * blocks { // the buffers begin small, and grow as they fill
		codes = append(codes, storetest.Put(t, s, storetest.Block(n, 50_000)))
	}
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	codes = codes[:blocks]
	var misses [3]uint64
	for round := range misses {
		for _, code := range codes {
			if _, err := s.Get(t.Context(), code); err != nil {
				t.Fatal(err)
			}
		}
		misses[round] = s.Stats().CacheMisses
	}
	// Some are of tables that are brought into order meanwhile.
	if misses[0] < blocks || misses[2]-misses[0] >= 2*blocks {
		t.Errorf("%d misses when the blocks had been read once, then %v", misses[0], misses[1:])
	}
}
