package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/stream"
	"github.com/pktsvc/pktsvc/pkg/tree"
)

func TestStoreErrors(t *testing.T) {
	s := serveStore(t, newMemory())
	full := serveStore(t, store.NewMemory(store.BLAKE3, 10))
	stalled := &stalling{Memory: newMemory(), asked: make(chan struct{}), release: make(chan struct{})}
	slow := serveStore(t, stalled)
	t.Cleanup(func() { close(stalled.release) })
	source := sourceTree(t)
	code := store.BLAKE3.Sum(nil).String()
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"add", source}, 2, `required flag(s) "addr" not set`},
		{[]string{"add", "--addr", s.addr}, 2, "requires at least 1 arg"},
		{[]string{"add", "--addr", "http://x:1", source}, 2, "unknown scheme"},
		{[]string{"add", "--addr", s.addr, "--hash", "md5", source}, 2, "unknown hash class"},
		{[]string{"add", "--addr", s.addr, "--timeout", "0s", source}, 2, "--timeout is 0s"},
		{[]string{"add", "--addr", s.addr, "--tls-ca", "x", source}, 2, "are for tls:// addresses"},
		{[]string{"add", "--addr", s.addr, source + "/none"}, 1, "no such file"},
		{[]string{"add", "--addr", closedPort(t), source}, 3, "no connection to tcp://"},
		{[]string{"add", "--addr", full.addr, source}, 1, "rejected by the peer"},
		{[]string{"add", "--addr", slow.addr, "--timeout", "50ms", source}, 4, "not answered in time"},
		{[]string{"get", "--addr", s.addr, "x"}, 2, "neither a reference"},
		{[]string{"get", "--addr", s.addr, "dir:literal:"}, 2, "give -o DIR"},
		{[]string{"get", "--addr", s.addr, "--json", "file:literal:"}, 2, "--json needs -o"},
		{[]string{"get", "--addr", s.addr, code}, 1, "not in the store"},
		{[]string{"ls", "--addr", s.addr, "file:literal:"}, 2, "is no directory"},
		{[]string{"ls", "--addr", s.addr, "--archive", "a.b"}, 2, "may not contain"},
		{[]string{"ls", "--addr", s.addr, "--archive", "none"}, 1, `archive "none"`},
		{[]string{"ls", "--addr", s.addr, "--start", "x"}, 2, "is no hash code"},
		{[]string{"ls", "--addr", s.addr, "--start", code, "dir:literal:"}, 2, "without REF"},
		{[]string{"push", "--addr", s.addr, "--archive", "a/b", source}, 2, "may not contain"},
		{[]string{"push", "--addr", s.addr, "--archive", "a", s.addr}, 2, "are for directories and files"},
		{[]string{"push", "--addr", s.addr, "tcp://nowhere"}, 2, "want HOST:PORT"},
		{[]string{"push", "--addr", s.addr, "/"}, 2, "give --archive NAME or --no-archive"},
		{[]string{"push", "--addr", s.addr, closedPort(t)}, 3, "no connection"},
		{[]string{"pull", "--addr", s.addr, "dest"}, 2, "give --archive NAME or --ref REF"},
		{[]string{"pull", "--addr", s.addr, "--archive", "a", "--at", "noon", "dest"}, 2, "want a time such as"},
		{[]string{"pull", "--addr", s.addr, "--archive", "a", "--ref", "b", "dest"}, 2, "none of the others can be"},
		{[]string{"stats", "--addr", s.addr, "--hash", "sha1"}, 1, "perhaps its hash is not that of --hash"},
	} {
		stdout, stderr, code := execute(t, "", append([]string{"store"}, test.args...)...)
		if code != test.code || !strings.Contains(stderr, test.want) || stdout != "" {
			t.Errorf("%v: exit code %d, %s%s, want %d, %s", test.args, code, stdout, stderr, test.code, test.want)
		}
	}
}

// What could not be stored is named, and is an error unless it is of a kind that no
// store keeps.
func TestStoreNamesWhatIsLeftOut(t *testing.T) {
	s := serveStore(t, newMemory())
	source := sourceTree(t)
	if err := os.WriteFile(filepath.Join(source, "bad \xff name"), nil, 0o600); err != nil {
		t.Skip("this system has no such names")
	}
	stdout, stderr, code := execute(t, "", "store", "add", "--addr", s.addr, source)
	if code != 1 || !strings.HasPrefix(stdout, "dir:") || !strings.Contains(stderr, `"bad \xff name"`) || !strings.Contains(stderr, "not complete") {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
}

func TestStoreProgress(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 999: "999 B", 1000: "1 kB", 1234: "1.23 kB", 999_499: "999 kB", 999_500: "1 MB", 32 << 20: "33.6 MB", 1 << 63: "9.22 EB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d bytes are %s, want %s", n, got, want)
		}
	}
	got := describe(tree.Counts{Files: 3, Bytes: 2000, BlocksMoved: 1, BytesMoved: 500, BlocksThere: 7}, tree.Counts{Bytes: 1000})
	if want := "3 files, 2 kB at 5 kB/s; 1 blocks moved, 500 B at 2.5 kB/s; 7 blocks were there"; got != want {
		t.Errorf("progress is %q, want %q", got, want)
	}
	var screen bytes.Buffer
	failed := errors.New("failed")
	transfer := newTransfer(newStoreCommand(), false)
	if err := transfer.watchOn(t.Context(), &screen, func() error { return failed }); !errors.Is(err, failed) {
		t.Errorf("watched: %v", err)
	}
	err := transfer.watch(t.Context(), func() error { return &stream.Error{Outcome: stream.OutcomeLost, Err: failed} })
	if exitCode(err) != exitNoAnswer || !errors.Is(err, failed) || !strings.HasSuffix(err.Error(), "; the same command goes on where this one was") {
		t.Errorf("a connection was lost: %v", err)
	}
}

// Where it is known how much there is, a bar says how far it is; what is read once more
// takes it back.
func TestStoreProgressBar(t *testing.T) {
	var screen bytes.Buffer
	line := &transferLine{w: &screen}
	shown := func(now tree.Counts, total int64) string {
		screen.Reset()
		line.draw(now, total)
		return screen.String()
	}
	if got := shown(tree.Counts{Bytes: 10}, 0); strings.Contains(got, "%") {
		t.Errorf("of an unknown total: %q", got)
	}
	for _, step := range []struct {
		bytes uint64
		want  string
	}{{500, "50%"}, {750, "75%"}, {250, "25%"}, {2000, "99%"}} {
		if got := shown(tree.Counts{Bytes: step.bytes}, 1000); !strings.Contains(got, step.want) || !strings.Contains(got, " of 1 kB at ") {
			t.Errorf("%d bytes of 1000: %q, want %s", step.bytes, got, step.want)
		}
	}
	line.clear()

	source := sourceTree(t)
	large := filepath.Join(source, "sub/large")
	info, err := os.Stat(large)
	if err != nil {
		t.Fatal(err)
	}
	all := info.Size() + int64(len("small\n")+len("x"))
	for want, paths := range map[int64][]string{2 * info.Size(): {large, large}, all: {source}, info.Size(): {source + "/link", source + "/none"}} {
		if got := sizeOf(t.Context(), paths); got != want {
			t.Errorf("%v: %d bytes, want %d", paths, got, want)
		}
	}
	transfer := newTransfer(newStoreCommand(), false)
	transfer.writes(tree.Reference{Directory: true, Ref: store.Ref{Span: 7}})
	if got := transfer.total.Load(); got != 0 {
		t.Errorf("a directory: %d bytes", got)
	}
	if transfer.writes(tree.Reference{Ref: store.Ref{Span: 7}}); transfer.total.Load() != 7 {
		t.Errorf("a file: %d bytes, want 7", transfer.total.Load())
	}
}

func TestMoment(t *testing.T) {
	for text, want := range map[string]string{
		"2026-01-31T12:00:00Z": "2026-01-31T12:00:00Z", "1700000000.5": "2023-11-14T22:13:20.5Z",
	} {
		var m moment
		if err := m.Set(text); err != nil || m.UTC().Format(time.RFC3339Nano) != want {
			t.Errorf("%s is %v, %v, want %s", text, &m, err, want)
		}
	}
	var day moment
	if err := day.Set("2026-01-31"); err != nil || day.Day() != 31 || day.Hour() != 23 {
		t.Errorf("a day is %v, %v", &day, err)
	}
}

// Damaged blocks are named, all of them, and mended by adding what they belong to.
func TestStoreVerify(t *testing.T) {
	m := newMemory()
	s := serveStore(t, m)
	source := sourceTree(t)
	ok(t, "", "store", "add", "--addr", s.addr, source)
	whole := ok(t, "", "store", "verify", "--addr", s.addr, "--json")
	if want := fmt.Sprintf(`{"blocks":%d,"bytes":%d,"damaged":[],"left_out":0}`+"\n", m.Usage().Blocks, m.Usage().Bytes); whole != want {
		t.Errorf("verify: %s, want %s", whole, want)
	}
	if out := ok(t, "", "store", "verify", "--addr", s.addr); out != "" {
		t.Errorf("verify prints %q, and nothing is damaged", out)
	}

	var codes []store.Code
	for code, err := range m.Codes(t.Context(), store.Code{}) {
		if err != nil {
			t.Fatal(err)
		}
		codes = append(codes, code)
	}
	damage := func(some ...store.Code) (lines string) {
		for _, code := range some {
			if err := m.Replace(t.Context(), code, []byte("damaged")); err != nil {
				t.Fatal(err)
			}
			lines += code.String() + "\n"
		}
		return lines
	}
	verify := func(wantOut, wantErr string, args ...string) {
		t.Helper()
		stdout, stderr, code := execute(t, "", append([]string{"store", "verify", "--addr", s.addr}, args...)...)
		if code != 1 || stdout != wantOut && args == nil || !strings.Contains(stdout, wantOut) || !strings.Contains(stderr, wantErr) {
			t.Errorf("verify %v: exit code %d, %s%s, want %s%s", args, code, stdout, stderr, wantOut, wantErr)
		}
	}
	verify(damage(codes[1:3]...), fmt.Sprintf("2 of %d blocks are damaged: add what they belong to again", len(codes)))
	verify("", "2 blocks more were found damaged before")
	verify(`"damaged":[],"left_out":2}`, "2 blocks more", "--json")
	damage(codes[3])
	verify(damage(codes[4]), "1 of ", "--start", codes[4].String())

	// Another store has them: what is listed no more is missing.
	other := serveStore(t, newMemory())
	ok(t, "", "store", "add", "--addr", other.addr, source)
	verify(codes[3].String()+"\n", "1 of ")
	if got := ok(t, "", "store", "push", "--addr", s.addr, other.addr); !strings.HasPrefix(got, "4 blocks copied") {
		t.Errorf("push: %s", got)
	}
	if again := ok(t, "", "store", "verify", "--addr", s.addr, "--json"); again != whole {
		t.Errorf("after it was added again: %s, want %s", again, whole)
	}
}
