//go:build unix

package tree

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// What cannot be stored is told of, and the rest is stored.
func TestNotices(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.WriteFile(at("good"), []byte("good"), 0o600),
		os.WriteFile(at("not \xff UTF-8"), nil, 0o600),
		os.WriteFile(at(unfinishedPrefix+"0123"), nil, 0o600),
		os.Symlink("not \xff UTF-8", at("link")),
		syscall.Mkfifo(at("pipe"), 0o600),
	} {
		if err != nil {
			t.Skipf("this system has no such files: %v", err)
		}
	}
	got := make(map[string]error)
	var mu sync.Mutex
	m := newMemory(t)
	root, err := Put(t.Context(), m, dir, Options{Notice: func(path string, err error) {
		mu.Lock()
		defer mu.Unlock()
		got[path] = err
	}})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{
		"not \xff UTF-8": ErrName, unfinishedPrefix + "0123": ErrName, "link": ErrName, "pipe": ErrSpecial,
	} {
		if !errors.Is(got[name], want) {
			t.Errorf("%q: %v, want %v", name, got[name], want)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("also noticed: %v", got)
	}
	var names []string
	for d, err := range Entries(t.Context(), m, root, Limits{}) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, d.Name)
	}
	if fmt.Sprint(names) != "[good]" {
		t.Errorf("stored %v", names)
	}
}

// A pipe, a socket or a device stays what it is: somebody uses it.
func TestPipesStay(t *testing.T) {
	m := newMemory(t)
	for _, entry := range []store.Dirent{
		fileOf("x", m.put(t, []byte("hello"))),
		{Type: store.DirentLink, Name: "x", Meta: Metadata{Target: "new"}.String()},
	} {
		dest := t.TempDir()
		at := filepath.Join(dest, "x")
		if err := syscall.Mkfifo(at, 0o600); err != nil {
			t.Skipf("this system has no pipes: %v", err)
		}
		if err := Get(t.Context(), m, m.directoryOf(t, "", entry), dest, Options{}); !errors.Is(err, ErrInTheWay) {
			t.Errorf("%v over a pipe: %v, want ErrInTheWay", entry.Type, err)
		}
		if info, err := os.Lstat(at); err != nil || info.Mode().Type() != os.ModeNamedPipe {
			t.Errorf("%v over a pipe: now it is %v, %v", entry.Type, info, err)
		}
	}
}
