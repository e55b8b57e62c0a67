package tree

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/storetest"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// served returns a client of a service of blocks, which are gone when the test ends.
func served(t testing.TB, b store.Backend) *store.Client {
	t.Helper()
	return store.NewClient(connected(t, store.NewService(b, store.Options{}).Mux()), b.Class())
}

func connected(t testing.TB, h stream.Handler) *stream.Conn {
	t.Helper()
	return storetest.Connect(t, h, nil)
}

// memory is a served store in memory that counts what it is asked for, and can be
// told to answer otherwise.
type memory struct {
	Store
	*store.Memory
	asked   atomic.Int64 // all requests
	gets    atomic.Int64
	adds    atomic.Int64
	held    atomic.Int64 // bytes in Adds now
	maxHeld atomic.Int64

	onAdd func(code store.Code) error // may be nil
	onGet func(code store.Code) ([]byte, error)

	mu    sync.Mutex
	twice int // blocks added that were there
}

func newMemory(t testing.TB) *memory {
	m := store.NewMemory(store.BLAKE3, 0)
	return &memory{Store: served(t, m), Memory: m}
}

func (m *memory) Class() store.Class { return m.Memory.Class() }

func (m *memory) Contains(ctx context.Context, code store.Code) (bool, error) {
	m.asked.Add(1)
	return m.Store.Contains(ctx, code)
}

func (m *memory) ContainsIndirect(ctx context.Context, code store.Code) (bool, error) {
	m.asked.Add(1)
	return m.Store.ContainsIndirect(ctx, code)
}

func (m *memory) AddAs(ctx context.Context, code store.Code, data []byte) error {
	m.asked.Add(1)
	m.adds.Add(1)
	held := m.held.Add(int64(len(data)))
	for {
		most := m.maxHeld.Load()
		if held <= most || m.maxHeld.CompareAndSwap(most, held) {
			break
		}
	}
	defer m.held.Add(-int64(len(data)))
	if m.onAdd != nil {
		if err := m.onAdd(code); err != nil {
			return err
		}
	}
	if there, _ := m.Has(ctx, code); there {
		m.mu.Lock()
		m.twice++
		m.mu.Unlock()
	}
	return m.Store.AddAs(ctx, code, data)
}

func (m *memory) Get(ctx context.Context, code store.Code) ([]byte, error) {
	m.asked.Add(1)
	m.gets.Add(1)
	if m.onGet != nil {
		if data, err := m.onGet(code); data != nil || err != nil {
			return data, err
		}
	}
	return m.Store.Get(ctx, code)
}

func (m *memory) HashCodes(ctx context.Context, start store.Code, after bool, n uint64) ([]store.Code, error) {
	m.asked.Add(1)
	return m.Store.HashCodes(ctx, start, after, n)
}

func (m *memory) Checksum(ctx context.Context, start store.Code, after bool, n uint64) (store.Checksum, error) {
	m.asked.Add(1)
	return m.Store.Checksum(ctx, start, after, n)
}

// put stores bytes and returns a reference to them.
func (m *memory) put(t testing.TB, data []byte) store.Ref {
	t.Helper()
	code := m.Class().Sum(data)
	if _, err := m.Put(t.Context(), code, data); err != nil {
		t.Fatal(err)
	}
	return store.Ref{Span: uint64(len(data)), Code: code}
}

// random returns bytes that are always the same for a seed.
func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

// plant makes a tree of files with names and sizes of all kinds.
func plant(t testing.TB, seed uint64) string {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	dir := t.TempDir()
	write := func(name string, data []byte) {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, fs.FileMode(0o400|r.IntN(0o400))); err != nil {
			t.Fatal(err)
		}
	}
	write("empty", nil)
	write("a name with spaces", []byte("x"))
	write(".hidden", []byte("hidden"))
	write("ünïcödé/日本語 ☃.txt", []byte("text"))
	write("..more...dots..", []byte("dots"))
	write("-dash", []byte("dash"))
	write("line\nbreak", []byte("line"))
	write("large", random(seed+1, 3<<20+r.IntN(1000)))
	write("zeros", make([]byte, 2<<20))
	write("twin/of large", random(seed+1, 3<<20))
	deep := "deep"
	for i := range 60 {
		deep = filepath.Join(deep, fmt.Sprint(i))
	}
	write(filepath.Join(deep, "file"), []byte("far down"))
	for i := range 200 {
		write(fmt.Sprintf("many/%d/%03d", i%7, i), random(seed+uint64(i), r.IntN(2000)))
	}
	for i := range 10 {
		write(fmt.Sprintf("medium/%d", i), random(seed+uint64(i), r.IntN(400_000)))
	}
	for _, empty := range []string{"no files", "many/none", "read only"} {
		if err := os.MkdirAll(filepath.Join(dir, empty), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{
		"link": "large", "broken": "nowhere/at all", "absolute": "/etc/passwd", "up": "../..", "many/to dir": "../deep",
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "read only"), 0o555); err != nil {
		t.Fatal(err)
	}
	return dir
}

// tell describes all that is in a directory, by paths.
func tell(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := info.Mode().String()
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			text += " to " + target
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += fmt.Sprintf(" %d %v", len(data), store.BLAKE3.Sum(data))
			fallthrough
		default:
			text += fmt.Sprint(" ", info.ModTime().UnixMicro())
		}
		name, err := filepath.Rel(dir, path)
		all[name] = text
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func same(t testing.TB, got, want string) {
	t.Helper()
	compare(t, tell(t, got), tell(t, want))
}

func compare(t testing.TB, got, want map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			t.Errorf("%q: %q, want %q", name, got[name], want[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[name]; !ok {
			t.Errorf("%q is there: %s", name, got[name])
		}
	}
}

// noticed fails the test if anything is noticed.
func noticed(t testing.TB) func(string, error) {
	return func(path string, err error) { t.Errorf("notice: %q: %v", path, err) }
}
