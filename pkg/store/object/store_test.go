package object

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/storetest"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// options are those of a store on the fake, which waits for nothing.
func (f *fake) options(class store.Class) Options {
	return Options{
		Bucket: testBucket, Prefix: "a/store", Endpoint: f.server.URL, Class: class,
		Wait: time.Nanosecond,
	}
}

// opened is a store on the fake, which is closed with the test.
func (f *fake) opened(t testing.TB, change func(*Options)) *Store {
	t.Helper()
	o := f.options(store.SHA256)
	if change != nil {
		change(&o)
	}
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func archivesOf(t testing.TB, s *Store) store.Archives {
	t.Helper()
	archives, err := s.Archives()
	if err != nil {
		t.Fatalf("Archives: %v", err)
	}
	return archives
}

func TestBackend(t *testing.T) {
	for _, test := range []struct {
		name string
		with func(*fake, *Options)
	}{
		{"conditional writes", func(*fake, *Options) {}},
		{"If-None-Match is ignored", func(f *fake, _ *Options) { f.ignores = true }},
		{"little of everything", func(f *fake, o *Options) {
			f.page, o.Prefix, o.Known, o.Requests, o.Cache = 50, "", 1, 1, -1
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			storetest.TestBackend(t, func(t *testing.T, class store.Class) store.Backend {
				f := newFake(t)
				o := f.options(class)
				test.with(f, &o)
				s, err := Open(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				if s.Stats().Conditional == (f.ignores || f.refuses) {
					t.Errorf("the probe found conditional writes: %v", s.Stats().Conditional)
				}
				return s
			})
		})
	}
}

func TestArchivesNeedConditionalWrites(t *testing.T) {
	for what, with := range map[string]func(*fake){
		"ignores": func(f *fake) { f.ignores = true },
		"refuses": func(f *fake) { f.refuses = true },
	} {
		f := newFake(t)
		with(f)
		for range 2 { // also when the probe's object is there
			_, err := f.opened(t, nil).Archives()
			if !errors.Is(err, store.ErrNoArchives) || !strings.Contains(err.Error(), what) {
				t.Errorf("Archives: %v, want ErrNoArchives and that it %s them", err, what)
			}
		}
	}
}

// Several processes have a store open.
func TestProcessesShareAStore(t *testing.T) {
	f := newFake(t)
	const processes, blocks, entries = 4, 50, 20
	added := make([]atomic.Int64, blocks)
	var all sync.WaitGroup
	for p := range processes {
		s := f.opened(t, nil)
		all.Go(func() {
			for n := range blocks {
				data := storetest.Block(n, 100)
				is, err := s.Put(t.Context(), s.Class().Sum(data), data)
				if err != nil {
					t.Errorf("Put: %v", err)
				}
				if is {
					added[n].Add(1)
				}
			}
		})
		all.Go(func() {
			for n := range entries {
				if err := archivesOf(t, s).Append(t.Context(), "log", fmt.Appendf(nil, "%d %02d", p, n)); err != nil {
					t.Errorf("Append: %v", err)
				}
			}
		})
	}
	all.Wait()
	for n := range added {
		if times := added[n].Load(); times != 1 {
			t.Errorf("block %d was new %d times", n, times)
		}
	}
	lists := make([][]string, 2)
	for i := range lists {
		for entry, err := range archivesOf(t, f.opened(t, nil)).Entries(t.Context(), "log") {
			if err != nil {
				t.Fatal(err)
			}
			lists[i] = append(lists[i], string(entry))
		}
	}
	if !slices.Equal(lists[0], lists[1]) || len(lists[0]) != processes*entries {
		t.Errorf("%d and %d entries, want %d, the same", len(lists[0]), len(lists[1]), processes*entries)
	}
	for p := range processes {
		var own []string
		for _, entry := range lists[0] {
			if strings.HasPrefix(entry, fmt.Sprint(p, " ")) {
				own = append(own, entry)
			}
		}
		if !slices.IsSorted(own) || len(slices.Compact(own)) != entries {
			t.Errorf("entries of process %d: %q", p, own)
		}
	}
}

func TestAStoreHasOneClass(t *testing.T) {
	f := newFake(t)
	f.opened(t, nil)
	f.opened(t, nil)
	o := f.options(store.BLAKE3)
	if _, err := Open(t.Context(), o); !errors.Is(err, store.ErrOtherClass) || !strings.Contains(err.Error(), "sha256, not blake3") {
		t.Errorf("Open with another class: %v", err)
	}
	for text, want := range map[string]string{
		`{"format":2,"class":"sha256"}`: "format 2", `{"format":1,"class":"md5"}`: "unknown hash class", `hello`: "something else", ``: "something else",
	} {
		f.set(func(objects map[string]thing) { objects["a/store/store"] = thing{data: []byte(text)} })
		if _, err := Open(t.Context(), f.options(store.SHA256)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open where the marker is %q: %v, want %q", text, err, want)
		}
	}
}

func TestCodesOfAnotherClass(t *testing.T) {
	s := newFake(t).opened(t, nil)
	code := store.BLAKE3.Sum([]byte("x"))
	if _, err := s.Put(t.Context(), code, []byte("x")); !errors.Is(err, store.ErrOtherClass) {
		t.Errorf("Put: %v", err)
	}
	if _, err := s.Get(t.Context(), code); !errors.Is(err, store.ErrMissing) {
		t.Errorf("Get: %v", err)
	}
	if has, err := s.Has(t.Context(), code); has || err != nil {
		t.Errorf("Has: %v, %v", has, err)
	}
	for _, err := range s.Codes(t.Context(), code) {
		if !errors.Is(err, store.ErrOtherClass) {
			t.Errorf("Codes: %v", err)
		}
	}
}

// What is known to be there is not sent, and not asked for, again.
func TestBlocksAreSentOnce(t *testing.T) {
	f := newFake(t)
	s := f.opened(t, nil)
	data := storetest.Block(1, 1000)
	f.count()
	for i, want := range []int{2, 0, 0} { // asked for, sent
		code := storetest.Put(t, s, data)
		if n := f.count(); n != want {
			t.Errorf("Put no. %d: %d requests, want %d", i, n, want)
		}
		if has, err := s.Has(t.Context(), code); !has || err != nil || f.count() != 0 {
			t.Errorf("Has of a block that is known to be there: %v, %v", has, err)
		}
	}
	other := f.opened(t, nil) // another process
	f.count()
	code := storetest.Put(t, other, data)
	if n := f.count(); n != 1 {
		t.Errorf("Put in another process: %d requests, want 1, which asks", n)
	}
	if got := other.Stats(); got.Avoided != 1 || got.Written != 0 {
		t.Errorf("%+v", got)
	}

	// Somebody removes the block: that is found out by the first who wants it.
	f.set(func(objects map[string]thing) { delete(objects, s.blocks.block(code)) })
	if _, err := s.Get(t.Context(), code); !errors.Is(err, store.ErrMissing) {
		t.Errorf("Get of a block that was removed: %v", err)
	}
	if added, err := s.Put(t.Context(), code, data); !added || err != nil {
		t.Errorf("Put of it: %v, %v", added, err)
	}
}

// Wrong data under a key is for the service to find, each time anew: once it is put
// right, so is what is read.
func TestWrongData(t *testing.T) {
	f := newFake(t)
	s := f.opened(t, nil)
	code := storetest.Put(t, s, []byte("right"))
	var corrupt []store.Code
	service := store.NewService(s, store.Options{Corrupt: func(code store.Code) { corrupt = append(corrupt, code) }})
	request, _ := code.AppendBinary(nil)
	for _, text := range []string{"wrong", "right"} {
		f.set(func(objects map[string]thing) { objects[s.blocks.block(code)] = thing{data: []byte(text)} })
		answer, err := service.Mux().Serve(t.Context(), stream.Request{Type: 1, Payload: request})
		if text == "wrong" && !errors.Is(err, store.ErrCorrupt) || text == "right" && (err != nil || string(answer.Payload) != text) {
			t.Errorf("Get with %q in the object store: %q, %v", text, answer.Payload, err)
		}
	}
	if hits, misses := s.CacheStats(); hits != 0 || misses != 2 {
		t.Errorf("%d hits and %d misses", hits, misses)
	}
	if !slices.Equal(corrupt, []store.Code{code}) {
		t.Errorf("reported as corrupt: %v", corrupt)
	}
}

func TestMaxBlock(t *testing.T) {
	f := newFake(t)
	s := f.opened(t, func(o *Options) { o.MaxBlock = 1000 })
	storetest.Put(t, s, storetest.Block(1, 1000))
	long := storetest.Block(1, 1001)
	code := s.Class().Sum(long)
	if _, err := s.Put(t.Context(), code, long); err == nil || !strings.Contains(err.Error(), "limit of 1000 bytes") {
		t.Errorf("Put of 1001 bytes: %v", err)
	}
	f.set(func(objects map[string]thing) { objects[s.blocks.block(code)] = thing{data: long} })
	f.count()
	if _, err := s.Get(t.Context(), code); err == nil || !strings.Contains(err.Error(), "limit of 1000 bytes") || f.count() != 1 {
		t.Errorf("Get of 1001 bytes: %v", err)
	}
}

func TestForeignObjects(t *testing.T) {
	f := newFake(t)
	s := f.opened(t, nil)
	code := storetest.Put(t, s, []byte("block"))
	archives := archivesOf(t, s)
	if err := archives.Append(t.Context(), "log", []byte("entry")); err != nil {
		t.Fatal(err)
	}
	f.set(func(objects map[string]thing) {
		for _, key := range []string{"", "0", "x", "ff", strings.ToUpper(strings.TrimPrefix(code.String(), "sha256:")), "zz/zz"} {
			objects[s.blocks.blockPrefix+key] = thing{}
			objects[s.blocks.archive("log")+key] = thing{}
		}
	})
	if n, err := s.Length(t.Context()); n != 1 || err != nil {
		t.Errorf("Length: %d, %v", n, err)
	}
	start, _ := store.NewCode(store.SHA256, make([]byte, 32))
	for got, err := range s.Codes(t.Context(), start) {
		if got != code || err != nil {
			t.Errorf("Codes: %v, %v", got, err)
		}
	}
	for entry, err := range archives.Entries(t.Context(), "log") {
		if string(entry) != "entry" || err != nil {
			t.Errorf("Entries: %q, %v", entry, err)
		}
	}
	f.set(func(objects map[string]thing) { objects[s.blocks.entry("log", 1<<64-1)] = thing{data: []byte("last")} })
	if err := archives.Append(t.Context(), "log", []byte("entry")); !errors.Is(err, store.ErrFull) {
		t.Errorf("Append after the highest number: %v", err)
	}
	if last, err := archives.Last(t.Context(), "log"); string(last) != "last" || err != nil {
		t.Errorf("Last: %q, %v", last, err)
	}
	f.set(func(objects map[string]thing) { clear(objects) })
	if _, err := archives.Last(t.Context(), "log"); !errors.Is(err, errLost) || errors.Is(err, store.ErrMissing) {
		t.Errorf("Last where it was removed: %v", err)
	}
	if _, err := archives.Last(t.Context(), "log"); !errors.Is(err, store.ErrMissing) {
		t.Errorf("Last of an empty archive: %v", err)
	}
	if err := archives.Append(t.Context(), "../log", nil); err == nil {
		t.Error("a name that no peer could send")
	}
}
