package tree

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// sink is a store that has nothing and forgets all; it counts what it is given at a time.
type sink struct {
	Store
	gate chan struct{} // nil: open

	mu              sync.Mutex
	more            *sync.Cond // bytes or enough has changed
	enough          int        // bytes that are waited for before any Add is answered
	bytes, blocks   int        // now
	mostB, mostN    int
	total           int
	heap, heapCount uint64
}

func (*sink) Class() store.Class                                 { return store.BLAKE3 }
func (*sink) Contains(context.Context, store.Code) (bool, error) { return false, nil }
func (*sink) Flush(context.Context) error                        { return nil }

func (s *sink) AddAs(_ context.Context, _ store.Code, data []byte) error {
	s.mu.Lock()
	s.bytes += len(data)
	s.blocks++
	s.total += len(data)
	s.mostB, s.mostN = max(s.mostB, s.bytes), max(s.mostN, s.blocks)
	if s.heapCount++; s.heapCount%100 == 0 && s.gate == nil {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		s.heap = max(s.heap, m.HeapAlloc)
	}
	if s.more != nil {
		s.more.Broadcast()
		for s.bytes < s.enough {
			s.more.Wait()
		}
		s.bytes -= len(data) // with s.enough less than the limit, others follow
		s.blocks--
		s.mu.Unlock()
		return nil
	}
	s.mu.Unlock()
	if s.gate != nil {
		<-s.gate
	}
	s.mu.Lock()
	s.bytes -= len(data)
	s.blocks--
	s.mu.Unlock()
	return nil
}

// However large a file is, little of it is held.
func TestMemoryIsBounded(t *testing.T) {
	size := int64(256 << 20)
	if raceDetector {
		size = 64 << 20
	}
	s := &sink{enough: 20 << 20}
	s.more = sync.NewCond(&s.mu)
	ended := func() { // nothing more comes: what waits is answered
		s.mu.Lock()
		s.enough = 0
		s.mu.Unlock()
		s.more.Broadcast()
	}
	root, err := PutReader(t.Context(), s, &ending{io.LimitReader(endless{new(uint64)}, size), ended}, Options{})
	if err != nil || root.Block.Span != uint64(size) {
		t.Fatalf("%+v, %v", root, err)
	}
	t.Logf("at most %d bytes in %d blocks under way, heap %d MiB", s.mostB, s.mostN, s.heap>>20)
	if s.mostB > DefaultBytes || s.mostN > DefaultBlocks || s.heap > 200<<20 {
		t.Errorf("at most %d bytes in %d blocks were under way, the heap had %d bytes", s.mostB, s.mostN, s.heap)
	}
}

// ending tells of the end of what it reads.
type ending struct {
	io.Reader
	ended func()
}

func (e *ending) Read(p []byte) (int, error) {
	n, err := e.Reader.Read(p)
	if err != nil {
		e.ended()
	}
	return n, err
}

// endless reads bytes that do not repeat.
type endless struct{ state *uint64 }

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		*e.state = *e.state*6364136223846793005 + 1442695040888963407
		p[i] = byte(*e.state >> 56)
	}
	return len(p), nil
}

// A store that answers nothing is given no more than the limits.
func TestStalledStore(t *testing.T) {
	for _, test := range []struct{ bytes, blocks, wantBytes, wantBlocks int }{
		{8 << 20, 1000, 8 << 20, 1000}, {1 << 30, 16, 1 << 30, 16}, {1000, 1000, MaxChunk, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &sink{gate: make(chan struct{})}
			done := make(chan error)
			go func() {
				_, err := PutReader(t.Context(), s, io.LimitReader(endless{new(uint64)}, 16<<20), Options{MaxBytes: test.bytes, MaxBlocks: test.blocks})
				done <- err
			}()
			synctest.Wait()
			s.mu.Lock()
			if s.bytes > test.wantBytes || s.blocks > test.wantBlocks || s.blocks == 0 {
				t.Errorf("%+v: %d bytes in %d blocks are under way", test, s.bytes, s.blocks)
			}
			s.mu.Unlock()
			close(s.gate)
			if err := <-done; err != nil {
				t.Error(err)
			}
			if s.total < 16<<20 {
				t.Errorf("only %d bytes were sent", s.total)
			}
		})
	}
}

// stuck is a store that does not answer one question for now.
type stuck struct {
	Store
	blocks  map[store.Code][]byte
	at      store.Code
	release chan struct{}
	given   atomic.Int64 // bytes
}

func (s *stuck) put(data []byte) store.Code {
	code := store.BLAKE3.Sum(data)
	s.blocks[code] = data
	return code
}

func (s *stuck) Get(_ context.Context, code store.Code) ([]byte, error) {
	if code == s.at {
		<-s.release
	}
	s.given.Add(int64(len(s.blocks[code])))
	return s.blocks[code], nil
}

// What a store has put into its lists counts as what it is asked for does.
func TestCopyHoldsFewLiterals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stuck{blocks: make(map[store.Code][]byte), release: make(chan struct{})}
		s.at = s.put([]byte("first"))
		refs := []store.Ref{{Span: 5, Code: s.at}}
		const literal, count = 1 << 20, 100
		for n := range count {
			data := random(uint64(n), literal)
			list, err := store.AppendRefs(nil, store.Ref{Type: store.RefLiteral, Span: literal, Literal: data})
			if err != nil {
				t.Fatal(err)
			}
			refs = append(refs, store.Ref{Indirect: true, Span: literal, Code: s.put(list)})
		}
		list, err := store.AppendRefs(nil, refs...)
		if err != nil {
			t.Fatal(err)
		}
		file := fileOf("file", store.Ref{Indirect: true, Span: 5 + count*literal, Code: s.put(list)})
		var out bytes.Buffer
		done := make(chan error)
		go func() { done <- Copy(t.Context(), s, file, &out, Options{MaxBytes: 8 * literal}) }()
		synctest.Wait()
		if given := s.given.Load(); given > 10*literal {
			t.Errorf("%d bytes are held", given)
		}
		close(s.release)
		if err := <-done; err != nil || out.Len() != 5+count*literal {
			t.Errorf("%d bytes, %v", out.Len(), err)
		}
	})
}

// busy is a store that rejects at first.
type busy struct {
	Store
	rejections atomic.Int64
	text       string
}

func (b *busy) Contains(context.Context, store.Code) (bool, error) {
	if b.rejections.Add(-1) >= 0 {
		return false, &stream.Error{Outcome: stream.OutcomeRejected, Payload: []byte(b.text)}
	}
	return true, nil
}

func TestBusyStoreIsAskedAgain(t *testing.T) {
	for _, test := range []struct {
		text       string
		rejections int64
		ok         bool
	}{
		{"busy: 3 requests wait, try again later", 5, true},
		{"requests no longer allowed", 1, true},
		{"busy: all day", 1000, false},
		{"exception during handler", 1, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := &busy{text: test.text}
			b.rejections.Store(test.rejections)
			begun := time.Now()
			there, err := contains(t.Context(), b, store.Code{})
			if there != test.ok || (err == nil) != test.ok || !test.ok && !errors.Is(err, stream.ErrRejected) {
				t.Errorf("%s: %v, %v", test.text, there, err)
			}
			if took := time.Since(begun); took > time.Minute {
				t.Errorf("%s: it took %v", test.text, took)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			b.rejections.Store(1000)
			if _, err := contains(ctx, b, store.Code{}); err == nil {
				t.Errorf("%s: no error", test.text)
			}
		})
	}
}

// watched is a store that is told of each block that is hashed: with one at a time these
// follow the reading of files.
type watched struct {
	Store
	hashing func()
}

func (w *watched) Class() store.Class {
	w.hashing()
	return w.Store.Class()
}

// A file that is written to while it is read is read once more, and told of if that
// happens again.
func TestChangingFile(t *testing.T) {
	data, more := random(1, 2<<20), random(2, 1<<20)
	_, chunks := cut(t, bytes.NewReader(append(bytes.Clone(data), more...)))
	for _, test := range []struct {
		name    string
		changes []int // when so many blocks have been hashed
		want    error
	}{
		{"none", nil, nil}, {"one", []int{2}, nil}, {"two", []int{2, len(chunks) + 2}, ErrChanged},
	} {
		name := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		m := newMemory(t)
		var mu sync.Mutex
		hashed := 0
		w := &watched{m, func() {
			mu.Lock()
			defer mu.Unlock()
			if hashed++; slices.Contains(test.changes, hashed) {
				f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
				if err == nil {
					_, err = f.Write(more)
					f.Close()
				}
				if err != nil {
					t.Error(err)
				}
			}
		}}
		var got error
		root, err := Put(t.Context(), w, name, Options{MaxBlocks: 1, Notice: func(_ string, err error) { got = err }})
		if err != nil {
			t.Fatal(err)
		}
		if !errors.Is(got, test.want) {
			t.Errorf("%s: noticed %v, want %v", test.name, got, test.want)
		}
		if err := Check(t.Context(), m, root, Options{}); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
