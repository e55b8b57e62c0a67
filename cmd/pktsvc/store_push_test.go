package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/storetest"
	"github.com/pktsvc/pktsvc/pkg/tree"
)

func TestStorePushAndPull(t *testing.T) {
	s := serveStore(t, newMemory())
	source := sourceTree(t)
	first := strings.TrimSpace(ok(t, "", "store", "push", "--addr", s.addr, source))
	between := time.Now()
	if err := os.WriteFile(filepath.Join(source, "new"), []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	var report pushed
	if err := json.Unmarshal([]byte(ok(t, "", "store", "push", "--addr", s.addr, "--json", source)), &report); err != nil || report.Archive != "my_source" || !report.Recorded || report.BlocksMoved != 2 {
		t.Errorf("push --json: %+v, %v", report, err)
	}
	dest := filepath.Join(t.TempDir(), "dest")
	ok(t, "", "store", "pull", "--addr", s.addr, "--archive", "my_source", dest)
	sameContents(t, dest, source)

	old := filepath.Join(t.TempDir(), "old")
	if got := strings.TrimSpace(ok(t, "", "store", "pull", "--addr", s.addr, "--archive", "my_source", "--at", between.Format(time.RFC3339Nano), old)); got != first {
		t.Errorf("pull --at gets %s, want %s", got, first)
	}
	if err := os.Remove(filepath.Join(source, "new")); err != nil {
		t.Fatal(err)
	}
	sameContents(t, old, source)
	ok(t, "", "store", "pull", "--addr", s.addr, "--ref", first, filepath.Join(t.TempDir(), "by reference"))

	ok(t, "", "store", "push", "--addr", s.addr, "--archive", "one", filepath.Join(source, "small"))
	into := t.TempDir()
	ok(t, "", "store", "pull", "--addr", s.addr, "--archive", "one", into)
	if got, err := os.ReadFile(filepath.Join(into, "small")); err != nil || string(got) != "small\n" {
		t.Errorf("a file into a directory: %q, %v", got, err)
	}

	for args, want := range map[string]string{
		"--archive none " + dest:                                             "not in the store",
		"--archive my_source --at 2001-01-01 " + dest:                        "nothing as old as",
		"--ref file:" + store.BLAKE3.Sum(nil).String() + "@9 " + dest + "/x": "not in the store",
	} {
		if _, stderr, code := execute(t, "", append([]string{"store", "pull", "--addr", s.addr}, strings.Fields(args)...)...); code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("pull %s: exit code %d, %s", args, code, stderr)
		}
	}
}

// withoutArchives is a backend that has none.
type withoutArchives struct{ *store.Memory }

func (withoutArchives) Archives() (store.Archives, error) { return nil, store.ErrNoArchives }

func TestStoreWithoutArchives(t *testing.T) {
	s := serveStore(t, withoutArchives{newMemory()})
	source := sourceTree(t)
	stdout, stderr, code := execute(t, "", "store", "push", "--addr", s.addr, source)
	if code != 0 || !strings.HasPrefix(stdout, "dir:") || !strings.Contains(stderr, "keep the reference") {
		t.Errorf("push: exit code %d, %s, %s", code, stdout, stderr)
	}
	stdout, _, code = execute(t, "", "store", "push", "--addr", s.addr, "--archive", "a", source)
	if code != 1 || !strings.HasPrefix(stdout, "dir:") {
		t.Errorf("push --archive: exit code %d, %s", code, stdout)
	}
	if got := ok(t, "", "store", "push", "--addr", s.addr, "--no-archive", source); got != stdout {
		t.Errorf("push --no-archive: %s, want %s", got, stdout)
	}
}

func TestStoreToStore(t *testing.T) {
	a, b, c := newMemory(), newMemory(), newMemory()
	for n := range 5000 {
		storetest.Put(t, a, storetest.Block(n, 50))
	}
	from, to, third := serveStore(t, a), serveStore(t, b), serveStore(t, c)
	if got := ok(t, "", "store", "push", "--addr", to.addr, from.addr); got != "5000 blocks copied, 250 kB\n" {
		t.Errorf("push: %s", got)
	}
	if got := ok(t, "", "store", "push", "--addr", to.addr, from.addr); got != "0 blocks copied, 0 B\n" {
		t.Errorf("push again: %s", got)
	}
	var counts tree.Counts
	if err := json.Unmarshal([]byte(ok(t, "", "store", "pull", "--json", "--addr", to.addr, third.addr)), &counts); err != nil || counts.BlocksMoved != 5000 {
		t.Errorf("pull: %+v, %v", counts, err)
	}
	if got := ok(t, "", "store", "stats", "--addr", third.addr); got != "5000 blocks\n" {
		t.Errorf("stats: %s", got)
	}
	if got := ok(t, "", "store", "stats", "--addr", third.addr, "--json"); got != `{"blocks":5000,"hash":"blake3"}`+"\n" {
		t.Errorf("stats --json: %s", got)
	}
}

// dying is a backend whose server vanishes after some Puts.
type dying struct {
	*store.Memory
	left atomic.Int64
	die  func()
}

func (d *dying) Put(ctx context.Context, code store.Code, data []byte) (bool, error) {
	if d.left.Add(-1) == 0 {
		d.die()
	}
	return d.Memory.Put(ctx, code, data)
}

// One of two servers vanishes in the middle of a push: it ends with all blocks at the
// other, whether they have the same blocks or not.
func TestStorePushLosesAServer(t *testing.T) {
	for _, shared := range []bool{true, false} {
		first := &dying{Memory: newMemory()}
		first.left.Store(20)
		one := serveStore(t, first)
		first.die = one.vanish
		second := first.Memory
		if !shared {
			second = newMemory()
		}
		two := serveStore(t, second)
		source := filepath.Join(t.TempDir(), "source")
		for n := range 100 {
			name := filepath.Join(source, strings.Repeat("d", 1+n%5), string(rune('a'+n%26))+strings.Repeat("x", n))
			if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, storetest.Block(n, 3000), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		ref := strings.TrimSpace(ok(t, "", "store", "push", "--addr", one.addr, "--addr", two.addr, source))
		if one.conns.Load() != 1 || two.conns.Load() != 1 {
			t.Errorf("shared %v: %d and %d connections", shared, one.conns.Load(), two.conns.Load())
		}
		ok(t, "", "store", "contains", "--addr", two.addr, ref)
		dest := t.TempDir()
		ok(t, "", "store", "pull", "--addr", one.addr, "--addr", two.addr, "--archive", "source", dest)
		sameContents(t, dest, source)
	}
}
