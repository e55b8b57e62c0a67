package disk

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// entries are the names in a directory.
func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

// A directory with files of others is left as it was; one that only looks used is taken.
func TestDirectoriesOfOthers(t *testing.T) {
	for _, test := range []struct {
		names []string
		want  string // in the error; empty: it becomes a store
	}{
		{nil, ""},
		{[]string{"lost+found", ".Trash-0", ".snapshot"}, ""},
		{[]string{"LOCK"}, ""},
		{[]string{"notes.txt"}, `it has "notes.txt"`},
		{[]string{"LOCK", "lost+found", "photos"}, `it has "photos"`},
		{[]string{"CURRENT", "LOCK", "MANIFEST-000001"}, `it has "CURRENT"`},
		{[]string{"server.log"}, `name an empty directory`},
	} {
		dir := t.TempDir()
		for _, name := range test.names {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		before := entries(t, dir)
		s, err := Open(Options{Dir: dir})
		if test.want == "" {
			if err != nil {
				t.Errorf("%q: %v", test.names, err)
				continue
			}
			closed(t, s)
			if err := os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			closed(t, opening(t, Options{Dir: dir})) // which is a store by now
			continue
		}
		if !errors.Is(err, ErrNotStore) || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%q: %v, want ErrNotStore and %s", test.names, err, test.want)
		}
		if after := entries(t, dir); !slices.Equal(before, after) {
			t.Errorf("%q: the directory has %q now", test.names, after)
		}
	}
}

func TestDirectoryIsAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: file}); !errors.Is(err, ErrNotStore) || !strings.Contains(err.Error(), "it is a file") {
		t.Errorf("a file: %v", err)
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "kept" {
		t.Errorf("the file has %q now, %v", data, err)
	}
}

// Wherever the making of a store is interrupted, the next start completes it.
func TestMakingIsInterrupted(t *testing.T) {
	disk := vfs.NewCrashableMem()
	var mu sync.Mutex
	var cuts []*vfs.MemFS
	s := opening(t, Options{Dir: "d", fs: injecting(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			mu.Lock()
			defer mu.Unlock()
			cuts = append(cuts, disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))}))
		}
		return nil
	}))})
	mu.Lock()
	made := cuts
	mu.Unlock()
	closed(t, s)
	for n, cut := range made {
		s, err := Open(Options{Dir: "d", fs: cut})
		if err != nil {
			names, _ := cut.List("d")
			t.Errorf("interrupted at write %d of %d: %v; there is %q", n+1, len(made), err, names)
			continue
		}
		closed(t, s)
	}
}
