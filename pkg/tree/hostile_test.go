package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// directoryOf returns an entry of a directory with entries.
func (m *memory) directoryOf(t testing.TB, name string, entries ...store.Dirent) store.Dirent {
	t.Helper()
	var data []byte
	for _, d := range entries {
		var err error
		if data, err = d.AppendBinary(data); err != nil {
			t.Fatal(err)
		}
	}
	ref := m.put(t, data)
	return store.Dirent{Type: store.DirentDirectory, Name: name, Block: &ref}
}

// listOf returns a reference to a list of references.
func (m *memory) listOf(t testing.TB, span uint64, refs ...store.Ref) store.Ref {
	t.Helper()
	block, err := store.AppendRefs(nil, refs...)
	if err != nil {
		t.Fatal(err)
	}
	ref := m.put(t, block)
	ref.Indirect, ref.Span = true, span
	return ref
}

func fileOf(name string, ref store.Ref) store.Dirent { return store.Dirent{Name: name, Block: &ref} }

func TestHostileTrees(t *testing.T) {
	m := newMemory(t)
	hello := m.put(t, []byte("hello"))
	longer, shorter := hello, hello
	longer.Span++
	shorter.Span--
	absent := store.Ref{Span: 5, Code: store.BLAKE3.Sum([]byte("absent"))}
	garbage := m.put(t, []byte("\xff\xff\xff garbage"))
	indirectGarbage := garbage
	indirectGarbage.Indirect = true
	levels := hello
	for range DefaultLevels + 1 {
		levels = m.listOf(t, 5, levels)
	}
	depths := m.directoryOf(t, "bottom")
	for range DefaultDepth {
		depths = m.directoryOf(t, "d", depths)
	}
	bomb := m.directoryOf(t, "a", fileOf("f", hello))
	for range 40 {
		twin := bomb
		twin.Name = "b"
		bomb = m.directoryOf(t, "a", bomb, twin)
	}
	runs := func(span uint64) store.Ref { return store.Ref{Type: store.RefRun, Span: span, Run: 'x'} }
	many := make([]store.Dirent, 1001)
	for i := range many {
		many[i] = fileOf(fmt.Sprint(i), store.Ref{Type: store.RefLiteral})
	}
	part := func(offset, span uint64, of store.Ref) store.Ref {
		return store.Ref{Type: store.RefPart, Span: span, Offset: offset, Of: &of}
	}
	link := func(name, target string) store.Dirent {
		return store.Dirent{Type: store.DirentLink, Name: name, Meta: Metadata{Target: target}.String()}
	}
	for _, test := range []struct {
		name    string
		entries []store.Dirent
		want    error
	}{
		{"parent", []store.Dirent{fileOf("..", hello)}, ErrName},
		{"itself", []store.Dirent{fileOf(".", hello)}, ErrName},
		{"no name", []store.Dirent{fileOf("", hello)}, ErrName},
		{"separator", []store.Dirent{fileOf("a/b", hello)}, ErrName},
		{"way out", []store.Dirent{fileOf("../out", hello)}, ErrName},
		{"absolute", []store.Dirent{m.directoryOf(t, "/tmp")}, ErrName},
		{"NUL", []store.Dirent{fileOf("a\x00b", hello)}, ErrName},
		{"long name", []store.Dirent{fileOf(strings.Repeat("x", 256), hello)}, ErrName},
		{"name of an unfinished file", []store.Dirent{fileOf(unfinishedPrefix+"x", hello)}, ErrName},
		{"the same name twice", []store.Dirent{fileOf("x", hello), fileOf("x", hello)}, ErrFormat},
		{"link and directory", []store.Dirent{link("x", ".."), m.directoryOf(t, "x", fileOf("out", hello))}, ErrFormat},
		{"link without target", []store.Dirent{link("x", "")}, ErrFormat},
		{"link with NUL", []store.Dirent{link("x", "a\x00")}, ErrFormat},
		{"metadata", []store.Dirent{{Name: "x", Meta: "{", Block: &hello}}, ErrFormat},
		{"time", []store.Dirent{{Name: "x", Meta: `{"m":1e20}`, Block: &hello}}, ErrFormat},
		{"longer span", []store.Dirent{fileOf("x", longer)}, ErrFormat},
		{"shorter span", []store.Dirent{fileOf("x", shorter)}, ErrFormat},
		{"list with longer span", []store.Dirent{fileOf("x", m.listOf(t, 11, hello, hello))}, ErrFormat},
		{"list with shorter span", []store.Dirent{fileOf("x", m.listOf(t, 9, hello, hello))}, ErrFormat},
		{"list with overflow", []store.Dirent{fileOf("x", m.listOf(t, 4, runs(1<<63), runs(1<<63), runs(4)))}, ErrFormat},
		{"list of garbage", []store.Dirent{fileOf("x", indirectGarbage)}, ErrFormat},
		{"part beyond", []store.Dirent{fileOf("x", part(1, 5, hello))}, ErrFormat},
		{"part with overflow", []store.Dirent{fileOf("x", part(1<<64-3, 5, hello))}, ErrFormat},
		{"list that is a literal", []store.Dirent{fileOf("x", store.Ref{Indirect: true, Type: store.RefLiteral, Span: 1, Literal: []byte{0}})}, ErrFormat},
		{"directory of garbage", []store.Dirent{{Type: store.DirentDirectory, Name: "x", Block: &garbage}}, ErrFormat},
		{"levels of lists", []store.Dirent{fileOf("x", levels)}, ErrLimit},
		{"directories in each other", []store.Dirent{depths}, ErrLimit},
		{"the same directories many times", []store.Dirent{bomb}, ErrLimit},
		{"many entries", many, ErrLimit},
		{"endless file", []store.Dirent{fileOf("x", runs(1<<60))}, ErrLimit},
		{"endless files", []store.Dirent{fileOf("x", runs(1<<19)), fileOf("y", runs(1<<20))}, ErrLimit},
		{"endless directory", []store.Dirent{{Type: store.DirentDirectory, Name: "x", Block: ptr(runs(1 << 60))}}, ErrLimit},
		{"large block", []store.Dirent{fileOf("x", store.Ref{Span: 1<<20 + 1, Code: hello.Code})}, ErrLimit},
		{"missing block", []store.Dirent{fileOf("x", absent)}, store.ErrMissing},
		{"missing directory", []store.Dirent{{Type: store.DirentDirectory, Name: "x", Block: &absent}}, store.ErrMissing},
	} {
		t.Run(test.name, func(t *testing.T) {
			around := t.TempDir()
			dest := filepath.Join(around, "dest")
			root := m.directoryOf(t, "", test.entries...)
			options := Options{Limits: Limits{Entries: 1000, Bytes: 1 << 20, Block: 1 << 20}}
			if err := Get(t.Context(), m, root, dest, options); !errors.Is(err, test.want) {
				t.Errorf("Get: %v, want %v", err, test.want)
			}
			if out, _ := os.ReadDir(around); len(out) > 1 {
				t.Errorf("written outside: %v", out)
			}
			// Others may not see what is wrong with what they do not need, but end.
			if err := Check(t.Context(), m, root, options); err == nil && errors.Is(test.want, store.ErrMissing) {
				t.Error("Check finds everything")
			}
			for range Entries(t.Context(), m, root, options.Limits) {
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }

// What else a reference may be, which is not made here, is read.
func TestOtherReferences(t *testing.T) {
	m := newMemory(t)
	hello, world := m.put(t, []byte("hello, ")), m.put(t, []byte("world"))
	both := m.listOf(t, 12, hello, store.Ref{Type: store.RefLiteral}, world)
	for want, ref := range map[string]store.Ref{
		"hello, ":      hello,
		"hello, world": both,
		"o, wo":        {Type: store.RefPart, Span: 5, Offset: 4, Of: &both},
		"ell":          {Type: store.RefPart, Span: 3, Offset: 1, Of: &hello},
		"o, wo!zzz":    m.listOf(t, 9, store.Ref{Type: store.RefPart, Span: 5, Offset: 4, Of: &both}, store.Ref{Type: store.RefLiteral, Span: 1, Literal: []byte("!")}, store.Ref{Type: store.RefRun, Span: 3, Run: 'z'}),
		"\x00\x00\x00": {Type: store.RefRun, Span: 3},
		"":             {Span: 0, Code: store.BLAKE3.Sum(nil)},
	} {
		dest := filepath.Join(t.TempDir(), "x")
		for range 2 {
			if err := Get(t.Context(), m, fileOf("", ref), dest, Options{}); err != nil {
				t.Fatalf("%q: %v", want, err)
			}
			if got, err := os.ReadFile(dest); err != nil || string(got) != want {
				t.Errorf("%q, %v, want %q", got, err, want)
			}
			var written bytes.Buffer
			if err := Copy(t.Context(), m, fileOf("", ref), &written, Options{}); err != nil || written.String() != want {
				t.Errorf("copied %q, %v, want %q", &written, err, want)
			}
			if err := os.WriteFile(dest, []byte(strings.Repeat("?", len(want))), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Where an unfinished file has something else, zeros are written, and are no hole.
func TestZerosOverAnUnfinishedFile(t *testing.T) {
	m := newMemory(t)
	ref := m.listOf(t, 3<<20+5, m.put(t, []byte("hello")), store.Ref{Type: store.RefRun, Span: 3 << 20})
	encoded, err := ref.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	unfinished := filepath.Join(dir, unfinishedName("x", string(encoded)))
	if err := os.WriteFile(unfinished, []byte(strings.Repeat("hello", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Get(t.Context(), m, fileOf("", ref), filepath.Join(dir, "x"), Options{}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "x"))
	if err != nil || string(got) != "hello"+strings.Repeat("\x00", 3<<20) {
		t.Errorf("%d bytes, %.20q, %v", len(got), got, err)
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Errorf("left over: %v", list)
	}
}

// Links that are there already lead nobody out, and directories are not taken away.
func TestWhatIsInTheWay(t *testing.T) {
	m := newMemory(t)
	hello := m.put(t, []byte("hello"))
	file, dir := fileOf("x", hello), m.directoryOf(t, "x", fileOf("y", hello))
	link := store.Dirent{Type: store.DirentLink, Name: "x", Meta: Metadata{Target: "new"}.String()}
	outside := t.TempDir()
	victim := filepath.Join(outside, "victim")
	if err := os.WriteFile(victim, []byte("it is"), 0o600); err != nil {
		t.Fatal(err)
	}
	symlink := func(target string) func(string) error {
		return func(at string) error { return os.Symlink(target, at) }
	}
	mkdir := func(at string) error { return os.Mkdir(at, 0o700) }
	write := func(at string) error { return os.WriteFile(at, []byte("other"), 0o600) }
	for _, test := range []struct {
		name  string
		there func(at string) error
		entry store.Dirent
		want  error
	}{
		{"directory over a link out", symlink(outside), dir, ErrInTheWay},
		{"directory over a link in", symlink("."), dir, ErrInTheWay},
		{"directory over a file", write, dir, ErrInTheWay},
		{"file over a directory", mkdir, file, ErrInTheWay},
		{"link over a directory", mkdir, link, ErrInTheWay},
		{"file over a link out", symlink(victim), file, nil},
		{"file over a file", write, file, nil},
		{"link over a file", write, link, nil},
		{"link over a link", symlink(victim), link, nil},
	} {
		dest := t.TempDir()
		if err := test.there(filepath.Join(dest, "x")); err != nil {
			t.Fatal(err)
		}
		if err := Get(t.Context(), m, m.directoryOf(t, "", test.entry), dest, Options{}); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
		if got, err := os.ReadFile(victim); err != nil || string(got) != "it is" {
			t.Errorf("%s: the file outside is %q, %v", test.name, got, err)
		}
		if list, _ := os.ReadDir(outside); len(list) != 1 {
			t.Errorf("%s: written outside: %v", test.name, list)
		}
	}
}

// A store that answers another block than it was asked for is found out before
// anything of it is in a file.
func TestHostileStore(t *testing.T) {
	m := store.NewMemory(store.BLAKE3, 0)
	mux := store.NewService(m, store.Options{}).Mux()
	root, err := Put(t.Context(), store.NewClient(connected(t, mux), store.BLAKE3), plant(t, 5), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []func(ctx context.Context, code store.Code) (store.Block, error){
		func(context.Context, store.Code) (store.Block, error) {
			return store.Block{Found: true, Data: []byte("other")}, nil
		},
		func(ctx context.Context, code store.Code) (store.Block, error) {
			data, err := m.Get(ctx, code)
			if len(data) > MinChunk {
				data[len(data)/2] ^= 1
			}
			return store.Block{Found: true, Data: data}, err
		},
	} {
		hostile := new(stream.Mux)
		store.Get.Handle(hostile, wrong)
		client := store.NewClient(connected(t, hostile), store.BLAKE3)
		dest := t.TempDir()
		if err := Get(t.Context(), client, root, dest, Options{}); !errors.Is(err, store.ErrAnswer) {
			t.Errorf("Get: %v, want ErrAnswer", err)
		}
		if _, err := os.Stat(filepath.Join(dest, "large")); err == nil {
			t.Error("the file is there")
		}
	}
}

// Whatever bytes are taken for a directory: it ends, and names are names.
func FuzzEntries(f *testing.F) {
	ref := store.Ref{Type: store.RefLiteral, Span: 1, Literal: []byte("x")}
	good, _ := store.Dirent{Name: "file", Meta: "m:1", Block: &ref}.AppendBinary(nil)
	f.Add(good)
	f.Add(append(good, good...))
	bad, _ := store.Dirent{Name: "../x"}.AppendBinary(nil)
	f.Add(bad)
	f.Fuzz(func(t *testing.T, data []byte) {
		seen := make(map[string]bool)
		for d, err := range dirents(data) {
			if err != nil {
				if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrName) {
					t.Errorf("error %v", err)
				}
				continue
			}
			if seen[d.Name] || !filepath.IsLocal(d.Name) || filepath.Base(d.Name) != d.Name || d.Name == "." {
				t.Errorf("name %q", d.Name)
			}
			seen[d.Name] = true
		}
	})
}
