package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// forgetting is a backend whose server vanishes when an entry of an archive is to be made
// durable.
type forgetting struct {
	*store.Memory
	die func()
}

func (f *forgetting) Sync(ctx context.Context) error {
	archives, _ := f.Archives()
	if _, err := archives.Last(ctx, "source"); err == nil {
		f.die()
	}
	return nil
}

// The server vanishes when it has appended to the archive and before that is durable:
// what another one has not is not said to be recorded.
func TestStorePushLosesAnEntry(t *testing.T) {
	for _, blocks := range []bool{true, false} {
		first := &forgetting{Memory: newMemory()}
		one := serveStore(t, first)
		first.die = one.vanish
		second := newMemory()
		two := serveStore(t, second)
		source := filepath.Join(t.TempDir(), "source")
		if err := os.WriteFile(source, []byte("text"), 0o600); err != nil {
			t.Fatal(err)
		}
		if blocks {
			ok(t, "", "store", "add", "--addr", two.addr, source)
		}
		_, stderr, code := execute(t, "", "store", "push", "--addr", one.addr, "--addr", two.addr, source)
		if !blocks {
			if code != 1 || !strings.Contains(stderr, "not in the store") {
				t.Errorf("without the blocks: exit code %d, %s", code, stderr)
			}
			continue
		}
		if code != 0 {
			t.Errorf("exit code %d, %s", code, stderr)
		}
		if list := ok(t, "", "store", "ls", "--addr", two.addr, "--archive", "source"); strings.Count(list, "\n") != 1 {
			t.Errorf("the other server's archive: %q, want one entry", list)
		}
	}
}
