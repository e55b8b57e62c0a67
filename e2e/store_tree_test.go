package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// treeVariable is how large a tree is pushed and pulled, in MiB.
const (
	treeVariable = "PKTSVC_TREE_MIB"
	treeShort    = 128
)

// Memory that neither side may exceed, however large the tree is and however slow the
// disk. The limit of the service is that of its deployment in a container of that
// size: without one the collector may leave as much again as lives.
const (
	clientMemory = 256 << 20
	serverMemory = 512 << 20
	serverLimit  = "GOMEMLIMIT=410MiB"
)

// A large directory is pushed to a store, pulled into an empty place and compared, pushed
// again with one change, and copied to a second store, twice. What is there does not
// move, and memory does not grow with what does.
func TestStoreTree(t *testing.T) {
	mib := treeShort
	if text := os.Getenv(treeVariable); text != "" {
		var err error
		if mib, err = strconv.Atoi(text); err != nil {
			t.Fatalf("%s: %v", treeVariable, err)
		}
	}
	source, dest := filepath.Join(t.TempDir(), "source"), filepath.Join(t.TempDir(), "dest")
	size := makeTree(t, source, int64(mib)<<20)
	want := listTree(t, source)
	s := serve(t, program{env: []string{serverLimit}}, "--service", "store", "--data", t.TempDir())
	addr := "tcp://" + s.addr

	first := storeCommand(t, "push", source, "--addr", addr, "--archive", "tree")
	if first.Bytes != size || first.BytesMoved < size*9/10 {
		t.Errorf("pushed %d bytes, of which %d moved, want %d", first.Bytes, first.BytesMoved, size)
	}
	again := storeCommand(t, "push", source, "--addr", addr, "--archive", "tree")
	if again.BytesMoved != 0 || again.Bytes != size {
		t.Errorf("pushed once more %d bytes moved of %d", again.BytesMoved, again.Bytes)
	}
	pulled := storeCommand(t, "pull", dest, "--addr", addr, "--archive", "tree")
	if pulled.Bytes != size {
		t.Errorf("pulled %d bytes, want %d", pulled.Bytes, size)
	}
	if got := listTree(t, dest); !maps.Equal(got, want) {
		t.Errorf("pulled are %d files and directories, want %d: %v", len(got), len(want), firstDifference(got, want))
	}

	// One byte in the middle of the largest file.
	changed := filepath.Join(source, "large")
	f, err := os.OpenFile(changed, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("x"), size/8); err != nil {
		t.Fatal(err)
	}
	f.Close()
	third := storeCommand(t, "push", source, "--addr", addr, "--archive", "tree")
	if third.BytesMoved == 0 || third.BytesMoved > 8<<20 {
		t.Errorf("one byte was changed, and %d bytes moved", third.BytesMoved)
	}
	repull := storeCommand(t, "pull", dest, "--addr", addr, "--archive", "tree")
	if repull.BytesMoved == 0 || repull.BytesMoved > 8<<20 {
		t.Errorf("one byte was changed, and %d bytes were fetched", repull.BytesMoved)
	}
	if got, want := listTree(t, dest), listTree(t, source); !maps.Equal(got, want) {
		t.Errorf("after the change: %v", firstDifference(got, want))
	}

	other := serve(t, program{}, "--service", "store", "--data", t.TempDir())
	copied := storeCommand(t, "push", addr, "--addr", "tcp://"+other.addr)
	if copied.BytesMoved < size*9/10 {
		t.Errorf("%d bytes were copied to the other store, want about %d", copied.BytesMoved, size)
	}
	alike := storeCommand(t, "push", addr, "--addr", "tcp://"+other.addr)
	if alike.BytesMoved != 0 {
		t.Errorf("copied once more, %d bytes moved", alike.BytesMoved)
	}
	memory := peakMemory(t, s.cmd.Process.Pid)
	if memory > serverMemory {
		t.Errorf("the service took %d MiB", memory>>20)
	}
	t.Logf("guarantee: TestStoreTree %d MiB in %d files: pushed in %.1f s with %d MiB of memory (server %d MiB), again in %.1f s with %d bytes moved; pulled in %.1f s with %d MiB; one byte changed: %d KiB moved; copied to another store in %.1f s with %d MiB, again in %.1f s with %d bytes moved",
		size>>20, first.Files, first.Seconds, first.memory>>20, memory>>20, again.Seconds, again.BytesMoved, pulled.Seconds, pulled.memory>>20,
		third.BytesMoved>>10, copied.Seconds, copied.memory>>20, alike.Seconds, alike.BytesMoved)
}

// moved is what the commands report.
type moved struct {
	Seconds    float64
	Files      int
	Bytes      int64
	BytesMoved int64 `json:"bytes_moved"`
	memory     int64
}

// storeCommand runs a command of pktsvc store to its end.
func storeCommand(t *testing.T, args ...string) (m moved) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), pktsvc, append([]string{"store", args[0], "--json"}, args[1:]...)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("store %s: %v\n%s%s", strings.Join(args, " "), err, &out, &errs)
	}
	if err := json.Unmarshal(out.Bytes(), &m); err != nil {
		t.Fatalf("store %s: %v in %s", args[0], err, &out)
	}
	m.memory = cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
	if m.memory > clientMemory {
		t.Errorf("store %s took %d MiB", args[0], m.memory>>20)
	}
	return m
}

// peakMemory is the most that a process has taken, in bytes.
func peakMemory(t *testing.T, pid int) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	var kib int64
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// makeTree makes a directory of about so many bytes: one large file of a quarter of them,
// files of all sizes, empty ones, links, names of all kinds. It returns how many there are.
func makeTree(t *testing.T, root string, size int64) (bytes int64) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	noise := rand.NewChaCha8([32]byte{7})
	write := func(path string, n int64) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600|os.FileMode(n&0o77))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := io.CopyN(f, noise, n); err != nil {
			t.Fatal(err)
		}
		bytes += n
	}
	write(filepath.Join(root, "large"), size/4)
	for i := 0; bytes < size; i++ {
		dir := filepath.Join(root, fmt.Sprintf("dir %02d", random.IntN(40)), fmt.Sprintf("ä%d", random.IntN(5)))
		n := int64(1) << random.IntN(23)
		write(filepath.Join(dir, fmt.Sprintf("file.%d", i)), min(n+random.Int64N(n), max(size-bytes, 1)))
		if i%50 == 0 {
			write(filepath.Join(dir, fmt.Sprintf("empty %d", i)), 0)
			if err := os.Symlink("../large", filepath.Join(dir, fmt.Sprintf("link %d", i))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.MkdirAll(filepath.Join(root, "empty", "below"), 0o700); err != nil {
		t.Fatal(err)
	}
	return bytes
}

// listTree says of everything below a directory what it is.
func listTree(t *testing.T, root string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		what := info.Mode().String()
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			what += " to " + to
		case info.Mode().IsRegular():
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			h := sha256.New()
			if _, err := io.Copy(h, f); err != nil {
				return err
			}
			what += fmt.Sprintf(" %d %x", info.ModTime().UnixMilli(), binary.BigEndian.Uint64(h.Sum(nil)))
		}
		all[name] = what
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func firstDifference(got, want map[string]string) string {
	for name, what := range want {
		if got[name] != what {
			return fmt.Sprintf("%s is %q, want %q", name, got[name], what)
		}
	}
	for name, what := range got {
		if _, ok := want[name]; !ok {
			return fmt.Sprintf("%s is %q, want nothing there", name, what)
		}
	}
	return ""
}
