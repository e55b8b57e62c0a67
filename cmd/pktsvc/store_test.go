package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/storetest"
	"github.com/pktsvc/pktsvc/pkg/stream"
	"github.com/pktsvc/pktsvc/pkg/tree"
)

// storeServer is a store that is served at an address.
type storeServer struct {
	backend store.Backend
	addr    string
	conns   atomic.Int64

	mu   sync.Mutex
	open []net.Conn
	gone bool
}

func serveStore(t *testing.T, b store.Backend) *storeServer {
	s := &storeServer{backend: b}
	mux := store.NewService(b, store.Options{}).Mux()
	s.addr = listen(t, "tcp", func(nc net.Conn) {
		s.mu.Lock()
		gone := s.gone
		s.open = append(s.open, nc)
		s.mu.Unlock()
		if gone {
			return
		}
		s.conns.Add(1)
		conn, err := stream.NewConn(nc, stream.Options{Handler: mux})
		if err != nil {
			t.Error(err)
			return
		}
		<-conn.Received()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		conn.Shutdown(ctx)
	})
	return s
}

// vanish ends all connections, and every one to come at once.
func (s *storeServer) vanish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
	for _, nc := range s.open {
		nc.Close()
	}
}

func newMemory() *store.Memory { return store.NewMemory(store.BLAKE3, 0) }

// sourceTree is a small tree of files.
func sourceTree(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "my.source")
	for name, data := range map[string][]byte{
		"empty": nil, "small": []byte("small\n"), "sub/large": storetest.Block(1, 2<<20), "sub/deep/x y": []byte("x"),
	} {
		name = filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, data, 0o640)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("sub/large", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// contents are the files of a tree, with what is in them.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		switch {
		case d.IsDir():
			all[name] = "dir"
		case d.Type()&fs.ModeSymlink != 0:
			all[name], err = os.Readlink(path)
		default:
			var data []byte
			data, err = os.ReadFile(path)
			all[name] = string(data)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func sameContents(t *testing.T, got, want string) {
	t.Helper()
	g, w := contents(t, got), contents(t, want)
	for name := range w {
		if g[name] != w[name] {
			t.Errorf("%s: %d bytes %.20q, want %d", name, len(g[name]), g[name], len(w[name]))
		}
	}
	if len(g) != len(w) {
		t.Errorf("%d entries, want %d", len(g), len(w))
	}
}

// ok runs a command that must succeed, and returns what it prints.
func ok(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	stdout, stderr, code := execute(t, stdin, args...)
	if code != 0 || stderr != "" {
		t.Fatalf("%v: exit code %d: %s", args, code, stderr)
	}
	return stdout
}

func TestStoreAddAndGet(t *testing.T) {
	s := serveStore(t, newMemory())
	source := sourceTree(t)
	large := filepath.Join(source, "sub/large")
	lines := strings.Fields(ok(t, "from stdin", "store", "add", "--addr", s.addr, source, large, "-", filepath.Join(source, "empty")))
	if len(lines) != 4 || !strings.HasPrefix(lines[0], "dir:blake3:") || !strings.HasPrefix(lines[1], "file:list:blake3:") || lines[3] != "file:literal:" {
		t.Fatalf("add prints %q", lines)
	}
	data, err := os.ReadFile(large)
	if err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]string{lines[1]: string(data), lines[2]: "from stdin", lines[3]: ""} {
		if got := ok(t, "", "store", "get", "--addr", s.addr, ref); got != want {
			t.Errorf("get %s: %d bytes, want %d", ref, len(got), len(want))
		}
		out := filepath.Join(t.TempDir(), "out")
		ok(t, "", "store", "get", "--addr", s.addr, ref, "-o", out)
		if got, err := os.ReadFile(out); err != nil || string(got) != want {
			t.Errorf("get %s -o: %d bytes, %v", ref, len(got), err)
		}
	}
	block := store.BLAKE3.Sum([]byte("from stdin")).String()
	out := filepath.Join(t.TempDir(), "block")
	ok(t, "", "store", "get", "--addr", s.addr, block, "-o", out)
	if got, err := os.ReadFile(out); err != nil || string(got) != ok(t, "", "store", "get", "--addr", s.addr, block) || string(got) != "from stdin" {
		t.Errorf("the block is %q, %v", got, err)
	}

	// A block is compared with what is there, as a file is.
	if got := ok(t, "", "store", "get", "--addr", s.addr, block, "-o", out, "--json"); !strings.Contains(got, `"blocks_there":1`) {
		t.Errorf("got a second time: %s", got)
	}

	dest := filepath.Join(t.TempDir(), "dest")
	var report struct {
		Ref         string
		Files       int
		BlocksMoved int `json:"blocks_moved"`
	}
	if err := json.Unmarshal([]byte(ok(t, "", "store", "get", "--addr", s.addr, lines[0], "-o", dest, "--json")), &report); err != nil || report.Ref != lines[0] || report.Files != 4 || report.BlocksMoved == 0 {
		t.Errorf("get --json: %+v, %v", report, err)
	}
	sameContents(t, dest, source)

	var added struct {
		Stored []stored
		Moved  int `json:"blocks_moved"`
		There  int `json:"blocks_there"`
	}
	if err := json.Unmarshal([]byte(ok(t, "", "store", "add", "--addr", s.addr, "--json", dest)), &added); err != nil || len(added.Stored) != 1 || added.Stored[0].Path != dest || added.There == 0 || added.Moved != 0 {
		// The time of the directory itself is in no block.
		t.Errorf("add --json: %+v, %v", added, err)
	}
}

func TestStoreContains(t *testing.T) {
	m := newMemory()
	s := serveStore(t, m)
	ref := strings.TrimSpace(ok(t, "", "store", "add", "--addr", s.addr, sourceTree(t)))
	code := storetest.Put(t, m, []byte("a block")).String()
	list, err := store.AppendRefs(nil, store.Ref{Span: 7, Code: store.BLAKE3.Sum([]byte("a block"))}, store.Ref{Span: 6, Code: store.BLAKE3.Sum([]byte("absent"))})
	if err != nil {
		t.Fatal(err)
	}
	indirect := storetest.Put(t, m, list).String()
	zeros := "sha1:" + strings.Repeat("0", 40)
	absent := "file:" + store.BLAKE3.Sum([]byte("absent")).String() + "@6"
	for _, test := range []struct {
		args string
		out  string
		code int
	}{
		{ref, "", 0},
		{ref + " " + code, "", 0},
		{indirect, "", 0},
		{"--indirect " + indirect, indirect + "\n", 1},
		{absent + " " + code, absent + "\n", 1},
		{"--json " + ref, `{"all":true,"missing":[]}` + "\n", 0},
		{"--json " + absent, `{"all":false,"missing":["` + absent + `"]}` + "\n", 1},
		{"--hash sha1 " + zeros, zeros + "\n", 1}, // as the zero value has it
		{"nonsense", "", 2},
	} {
		stdout, stderr, exit := execute(t, "", append([]string{"store", "contains", "--addr", s.addr}, strings.Fields(test.args)...)...)
		if exit != test.code || stdout != test.out {
			t.Errorf("contains %s: exit code %d, %q, %s, want %d, %q", test.args, exit, stdout, stderr, test.code, test.out)
		}
	}
}

func TestStoreLs(t *testing.T) {
	m := newMemory()
	s := serveStore(t, m)
	ref := strings.TrimSpace(ok(t, "", "store", "push", "--addr", s.addr, sourceTree(t)))
	var codes []string
	for code := range m.Codes(t.Context(), store.Code{}) {
		codes = append(codes, code.String())
	}
	if got := strings.Fields(ok(t, "", "store", "ls", "--addr", s.addr)); !slices.Equal(got, codes) {
		t.Errorf("ls: %d codes, want %d", len(got), len(codes))
	}
	if got := strings.Fields(ok(t, "", "store", "ls", "--addr", s.addr, "--start", codes[2], "--limit", "3")); !slices.Equal(got, codes[2:5]) {
		t.Errorf("ls --start --limit: %v", got)
	}
	if got := ok(t, "", "store", "ls", "--addr", s.addr, ref); got != "empty\nlink\nsmall\nsub/\n" {
		t.Errorf("ls REF: %q", got)
	}
	if got := ok(t, "", "store", "ls", "--addr", s.addr, "-R", ref); got != "empty\nlink\nsmall\nsub/\nsub/deep/\nsub/deep/x y\nsub/large\n" {
		t.Errorf("ls -R REF: %q", got)
	}
	long := ok(t, "", "store", "ls", "--addr", s.addr, "-lR", ref)
	for _, want := range []string{"file  rw-r-----            6 ", "link -> sub/large\n", "sub/large  file:list:blake3:"} {
		if !strings.Contains(long, want) {
			t.Errorf("ls -lR has no %q:\n%s", want, long)
		}
	}
	var first listed
	line, _, _ := strings.Cut(ok(t, "", "store", "ls", "--addr", s.addr, "--json", ref), "\n")
	if err := json.Unmarshal([]byte(line), &first); err != nil || first.Name != "empty" || first.Kind != "file" || first.Mode != "640" || first.Modified == nil || first.Ref != "file:literal:" {
		t.Errorf("ls --json: %s, %v", line, err)
	}
	if got := ok(t, "", "store", "ls", "--addr", s.addr, "--archive", "my_source"); !strings.HasSuffix(got, " "+ref+" my.source/\n") {
		t.Errorf("ls --archive: %q, want %s", got, ref)
	}
	if got := ok(t, "", "store", "ls", "--addr", s.addr, "--archive", "my_source", "--json"); !strings.Contains(got, `"when":"2`) || !strings.Contains(got, ref) {
		t.Errorf("ls --archive --json: %q", got)
	}
	// A name from a store cannot lead a terminal astray.
	evil := tree.Reference{Directory: true, Ref: store.Ref{Type: store.RefLiteral}}
	entry, err := store.Dirent{Name: "\x1b[2Jevil"}.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	evil.Ref.Literal, evil.Ref.Span = entry, uint64(len(entry))
	if got := ok(t, "", "store", "ls", "--addr", s.addr, evil.String()); got != `"\x1b[2Jevil"`+"\n" {
		t.Errorf("ls prints %q", got)
	}
}

// stalling is a backend that tells when it is asked for, and answers when it is
// released.
type stalling struct {
	*store.Memory
	asked   chan struct{}
	release chan struct{}
	once    sync.Once
}

func (s *stalling) Has(ctx context.Context, code store.Code) (bool, error) {
	s.once.Do(func() { close(s.asked) })
	select {
	case <-s.release:
	case <-ctx.Done():
	}
	return false, context.Cause(ctx)
}

func TestStoreInterrupted(t *testing.T) {
	b := &stalling{Memory: newMemory(), asked: make(chan struct{}), release: make(chan struct{})}
	s := serveStore(t, b)
	t.Cleanup(func() { close(b.release) })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		<-b.asked
		cancel() // as a signal does
	}()
	var stdout, stderr bytes.Buffer
	code := run(ctx, []string{"store", "push", "--addr", s.addr, sourceTree(t)}, strings.NewReader(""), &stdout, &stderr)
	if code != 1 || !strings.Contains(stderr.String(), "interrupted; the same command goes on") || stdout.Len() > 0 {
		t.Errorf("exit code %d, %s%s", code, &stdout, &stderr)
	}
}

// What was stored before something could not be has its reference.
func TestStoreAddSome(t *testing.T) {
	s := serveStore(t, newMemory())
	source := sourceTree(t)
	large := filepath.Join(source, "sub/large")
	want := ok(t, "", "store", "add", "--addr", s.addr, large)
	stdout, stderr, code := execute(t, "", "store", "add", "--addr", s.addr, large, source+"/none", large)
	if code != 1 || stdout != want || !strings.Contains(stderr, "no such file") {
		t.Errorf("exit code %d, %s%s, want %s", code, stdout, stderr, want)
	}
	stdout, _, code = execute(t, "", "store", "add", "--addr", s.addr, "--json", large, source+"/none")
	var added struct{ Stored []stored }
	if err := json.Unmarshal([]byte(stdout), &added); err != nil || code != 1 || len(added.Stored) != 1 || added.Stored[0].Path != large {
		t.Errorf("exit code %d, %s, %v", code, stdout, err)
	}
}
