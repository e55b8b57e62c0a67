package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/storetest"
)

// failing is set in the process where stores fail. They hold goroutines of the
// engine until it ends, so these tests have a process of their own.
const failing = "PKTSVC_DISK_FAILING"

func TestFailures(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestFailing", "-test.count=1", "-test.timeout=1m", "-test.v")
	cmd.Env = append(os.Environ(), failing+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestFailingFiles/") {
		t.Errorf("%v\n%s", err, out)
	}
}

// faults are what can be wrong with a disk, and where.
var faults = []struct {
	name string
	err  error
	hits func(op errorfs.Op) bool
}{
	{"no room for the log", syscall.ENOSPC, on(".log", errorfs.OpFileWrite)},
	{"no room for another log", syscall.ENOSPC, on(".log", errorfs.OpCreate, errorfs.OpRename)},
	{"the log is not synced", syscall.EIO, on(".log", errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo)},
	{"no room for a table", syscall.ENOSPC, on(".sst", errorfs.OpCreate, errorfs.OpFileWrite)},
	{"no room for values", syscall.ENOSPC, on(".blob", errorfs.OpFileWrite)},
	{"values are not synced", syscall.EIO, on(".blob", errorfs.OpFileSync, errorfs.OpFileSyncData)},
	{"no room for the manifest", syscall.ENOSPC, on("MANIFEST-", errorfs.OpFileWrite)},
	{"the manifest is not synced", syscall.EIO, on("MANIFEST-", errorfs.OpFileSync, errorfs.OpFileSyncData)},
	{"nothing can be written", syscall.EROFS, func(op errorfs.Op) bool { return op.Kind.ReadOrWrite() == errorfs.OpIsWrite }},
}

// on is for files whose name has a part.
func on(part string, kinds ...errorfs.OpKind) func(errorfs.Op) bool {
	return func(op errorfs.Op) bool {
		for _, kind := range kinds {
			if op.Kind == kind && strings.Contains(path.Base(op.Path), part) {
				return true
			}
		}
		return false
	}
}

// injectingFS is one of the engine's for tests, which leaves out files that are used
// again.
type injectingFS struct{ *errorfs.FS }

func injecting(fs vfs.FS, injector errorfs.Injector) vfs.FS {
	return injectingFS{errorfs.Wrap(fs, injector)}
}

func (fs injectingFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := fs.Rename(oldname, newname); err != nil {
		return nil, err
	}
	return fs.OpenReadWrite(newname, category)
}

// Whatever cannot be written: everybody gets an error that says so, nobody waits
// for ever, and what was answered as durable is there for the next process.
func TestFailingFiles(t *testing.T) {
	if os.Getenv(failing) == "" {
		t.Skip("TestFailures runs this in a process of its own")
	}
	for _, fault := range faults {
		t.Run(fault.name, func(t *testing.T) {
			disk := vfs.NewCrashableMem()
			var broken atomic.Bool
			fs := injecting(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if broken.Load() && fault.hits(op) {
					return fault.err
				}
				return nil
			}))
			o := Options{Dir: "store", Class: store.BLAKE3, Buffer: 1 << 20, fs: fs}
			s, err := Open(o)
			if err != nil {
				t.Fatal(err)
			}
			w := writing{store: s, durable: make(map[store.Code][]byte)}
			w.untilFailed(t, func() { broken.Store(true) })
			if err := s.Err(); !errors.Is(err, ErrFailed) {
				t.Errorf("Err is %v", err)
			}
			checkFailed(t, s)

			o.fs = disk.CrashClone(vfs.CrashCloneCfg{})
			s, err = Open(o)
			if err != nil {
				t.Fatalf("open after it: %v", err)
			}
			for code, data := range w.durable {
				if got, err := s.Get(t.Context(), code); err != nil || !bytes.Equal(got, data) {
					t.Errorf("%v was durable: %d bytes, %v", code, len(got), err)
				}
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// writing puts and syncs from several goroutines.
type writing struct {
	store *Store

	mu      sync.Mutex
	durable map[store.Code][]byte
}

// untilFailed returns when everybody has an error. It breaks the disk when some blocks
// are durable.
func (w *writing) untilFailed(t *testing.T, breaks func()) {
	t.Helper()
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			for n := 0; ; n++ {
				err := w.few(t.Context(), 1000*i+n)
				if errors.Is(err, ErrFailed) {
					return
				}
				if err != nil {
					t.Errorf("%v, want ErrFailed", err)
					return
				}
				if n == 5 {
					breaks()
				}
				if n == 1000 {
					t.Error("it does not fail")
					return
				}
			}
		})
	}
	all.Wait()
}

// few puts some blocks and syncs them.
func (w *writing) few(ctx context.Context, first int) error {
	blocks := make(map[store.Code][]byte)
	for n := range 3 {
		data := storetest.Block(3*first+n, 30<<10)
		code := store.BLAKE3.Sum(data)
		if _, err := w.store.Put(ctx, code, data); err != nil {
			return fmt.Errorf("Put: %w", err)
		}
		blocks[code] = data
	}
	if err := w.store.Sync(ctx); err != nil {
		return fmt.Errorf("Sync: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.Copy(w.durable, blocks)
	return nil
}

// checkFailed calls every method.
func checkFailed(t *testing.T, s *Store) {
	t.Helper()
	ctx := t.Context()
	select {
	case <-s.Failed():
	default:
		t.Error("Failed is open")
	}
	code := store.BLAKE3.Sum(nil)
	_, put := s.Put(ctx, code, nil)
	_, get := s.Get(ctx, code)
	_, has := s.Has(ctx, code)
	_, length := s.Length(ctx)
	var codes, entries error
	for _, codes = range s.Codes(ctx, store.Code{}) {
	}
	a, _ := s.Archives()
	_, last := a.Last(ctx, "a")
	for _, entries = range a.Entries(ctx, "a") {
	}
	for name, err := range map[string]error{
		"Put": put, "Get": get, "Has": has, "Length": length, "Codes": codes, "Sync": s.Sync(ctx),
		"Append": a.Append(ctx, "a", nil), "Last": last, "Entries": entries, "Close": s.Close(),
	} {
		if !errors.Is(err, ErrFailed) {
			t.Errorf("%s: %v, want ErrFailed", name, err)
		}
	}
	if stats := s.Stats(); stats.Blocks == 0 {
		t.Errorf("stats %+v", stats)
	}
}

// A disk that cannot be written keeps nobody waiting in Open.
func TestFailingOpen(t *testing.T) {
	if os.Getenv(failing) == "" {
		t.Skip("TestFailures runs this in a process of its own")
	}
	for _, fault := range faults {
		fs := injecting(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
			if fault.hits(op) {
				return fault.err
			}
			return nil
		}))
		s, err := Open(Options{Dir: "store", fs: fs})
		if err == nil {
			if err := s.Close(); err != nil {
				t.Logf("%s: Close: %v", fault.name, err)
			}
			continue // nothing of that kind was written
		}
		t.Logf("%s: %.200s", fault.name, err)
		if !errors.Is(err, fault.err) && !strings.Contains(err.Error(), fault.err.Error()) {
			t.Errorf("%s: %v, which does not say %v", fault.name, err, fault.err)
		}
	}
}

// A panic of the engine is a failure, also for those who wait elsewhere.
func TestRunPanics(t *testing.T) {
	f := newFailure()
	waiting := make(chan error)
	enough := make(chan struct{})
	go func() {
		_, err := run(f, func() (int, error) { <-enough; return 1, nil })
		waiting <- err
	}()
	_, err := run(f, func() (int, error) { panic("broken") })
	if !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), "broken") {
		t.Errorf("%v", err)
	}
	if err := <-waiting; !errors.Is(err, ErrFailed) {
		t.Errorf("who waits: %v", err)
	}
	close(enough)
}
