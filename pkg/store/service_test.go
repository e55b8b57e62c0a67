package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// slowSync is a backend whose Sync takes a second, and tells what it covered.
type slowSync struct {
	*Memory
	syncs   atomic.Int64
	durable atomic.Uint64 // blocks that were there when the last Sync began
	fail    error
}

func (s *slowSync) Sync(context.Context) error {
	s.syncs.Add(1)
	there := s.Usage().Blocks
	time.Sleep(time.Second)
	if s.fail == nil {
		s.durable.Store(there)
	}
	return s.fail
}

// Flushes that wait for the same thing share a sync, and none relies on one that had
// begun before it was asked for.
func TestFlushesShareSyncs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &slowSync{Memory: NewMemory(SHA1, 0)}
		var groups []int
		s := NewService(b, Options{Synced: func(n int, err error) { groups = append(groups, n) }})
		c := NewClient(served(t, s), SHA1)
		flushed := make(chan time.Duration, 100)
		begun := time.Now()
		flush := func() {
			before := b.Usage().Blocks
			if err := c.Flush(t.Context()); err != nil {
				t.Errorf("Flush: %v", err)
			}
			if got := b.durable.Load(); got < before {
				t.Errorf("a flush of %d blocks was answered with %d durable", before, got)
			}
			flushed <- time.Since(begun)
		}
		mustAdd(t, c, "1")
		go flush()
		time.Sleep(time.Second / 2) // a sync is under way
		mustAdd(t, c, "2")
		for range 20 {
			go flush()
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if len(flushed) != 21 || b.syncs.Load() != 2 || fmt.Sprint(groups) != "[1 20]" {
			t.Errorf("%d flushes by %d syncs, groups %v, want 21 by 2, [1 20]", len(flushed), b.syncs.Load(), groups)
		}
		if first := <-flushed; first != time.Second {
			t.Errorf("the first took %v", first)
		}
		if second := <-flushed; second != 2*time.Second {
			t.Errorf("the others were answered after %v, want 2 s", second)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestSyncAlways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &slowSync{Memory: NewMemory(SHA1, 0)}
		s := NewService(b, Options{SyncAlways: true})
		c := NewClient(served(t, s), SHA1)
		for i := range 2 { // the second time it is there, but who knows whether it is durable
			begun := time.Now()
			mustAdd(t, c, "block")
			if b.durable.Load() != 1 || time.Since(begun) != time.Second {
				t.Errorf("add no. %d was answered with %d blocks durable, after %v", i, b.durable.Load(), time.Since(begun))
			}
		}
		begun := time.Now()
		if err := c.Update(t.Context(), "a", Entry{}); err != nil || time.Since(begun) != time.Second {
			t.Errorf("ArchiveUpdate: %v after %v", err, time.Since(begun))
		}
		b.fail = errors.New("no such luck")
		if _, err := c.Add(t.Context(), []byte("other")); !errors.Is(err, stream.ErrRejected) {
			t.Errorf("Add that cannot be made durable: %v, want a refusal", err)
		}
		if err := c.Flush(t.Context()); !errors.Is(err, stream.ErrRejected) {
			t.Errorf("Flush that fails: %v, want a refusal", err)
		}
		if err := s.Close(); !errors.Is(err, b.fail) {
			t.Errorf("Close: %v, want what Sync says", err)
		}
	})
}

// A flush whose caller has gone does not stop the sync for others.
func TestFlushGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &slowSync{Memory: NewMemory(SHA1, 0)}
		f := flusher{sync: b.Sync}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		other := make(chan error, 1)
		go func() { other <- f.flush(t.Context()) }()
		if err := f.flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("flush: %v", err)
		}
		if err := <-other; err != nil {
			t.Errorf("the other one: %v", err)
		}
		f.wait()
	})
}

func mustAdd(t testing.TB, c *Client, data string) Code {
	t.Helper()
	code, err := c.Add(t.Context(), []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// A block that has changed where it is kept is not given out.
func TestCorruptBlock(t *testing.T) {
	m := NewMemory(BLAKE3, 0)
	var corrupt, mended []Code
	c := NewClient(served(t, NewService(m, Options{
		Corrupt: func(c Code) { corrupt = append(corrupt, c) },
		Mended:  func(c Code) { mended = append(mended, c) },
	})), BLAKE3)
	code := mustAdd(t, c, "good")
	m.blocks[code][0] ^= 1
	if data, err := c.Get(t.Context(), code); !errors.Is(err, stream.ErrRejected) {
		t.Errorf("Get: %q, %v, want a refusal", data, err)
	}
	if len(corrupt) != 1 || corrupt[0] != code {
		t.Errorf("told of corrupt blocks %v", corrupt)
	}

	// Whoever has the block is asked for it, as if it were not there.
	if has, err := c.Contains(t.Context(), code); has || err != nil {
		t.Errorf("Contains: %v, %v, want false", has, err)
	}
	if codes, err := c.HashCodes(t.Context(), Code{}, false, 10); len(codes) > 0 || err != nil {
		t.Errorf("HashCodes: %v, %v, want none", codes, err)
	}
	if len(mended) > 0 {
		t.Errorf("told of mended blocks %v before they were added", mended)
	}
	for range 2 { // the second time it is there
		mustAdd(t, c, "good")
	}
	if len(mended) != 1 || mended[0] != code {
		t.Errorf("told of mended blocks %v", mended)
	}
	if data, err := c.Get(t.Context(), code); string(data) != "good" || err != nil {
		t.Errorf("Get after Add: %q, %v", data, err)
	}
	if has, err := c.Contains(t.Context(), code); !has || err != nil {
		t.Errorf("Contains after Add: %v, %v, want true", has, err)
	}
	if codes, err := c.HashCodes(t.Context(), Code{}, false, 10); len(codes) != 1 || err != nil {
		t.Errorf("HashCodes after Add: %v, %v, want one", codes, err)
	}

	// Somebody else may replace it, too.
	m.blocks[code][0] ^= 1
	_, _ = c.Get(t.Context(), code)
	m.blocks[code][0] ^= 1
	for _, want := range []bool{false, true} { // nobody has looked; somebody has
		if has, err := c.Contains(t.Context(), code); has != want || err != nil {
			t.Errorf("Contains when it has been put right: %v, %v, want %v", has, err, want)
		}
		_, _ = c.Get(t.Context(), code)
	}
	if u := m.Usage(); u.Blocks != 1 || u.Bytes != 4 {
		t.Errorf("usage %+v, want 1 block of 4 bytes", u)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	ctx := t.Context()
	m := NewMemory(SHA1, 0)
	c := NewClient(served(t, NewService(m, Options{MaxAnswer: 210, MaxTree: 10})), SHA1) // 10 codes
	conn := c.to
	var refs []Ref
	for n := range 11 {
		if _, err := HashCodes.Do(ctx, conn, Window{Class: SHA1}); err != nil {
			t.Errorf("all of %d codes: %v", n, err)
		}
		refs = append(refs, Ref{Code: mustAdd(t, c, fmt.Sprint(n)), Span: 1})
	}
	for _, n := range []uint64{0, 11} {
		if _, err := HashCodes.Do(ctx, conn, Window{Class: SHA1, Length: n}); !errors.Is(err, stream.ErrRejected) {
			t.Errorf("%d of 11 codes: %v, want a refusal", n, err)
		}
	}
	if codes, err := c.HashCodes(ctx, Code{}, false, 10); len(codes) != 10 || err != nil {
		t.Errorf("10 of 11 codes: %d, %v", len(codes), err)
	}

	entry := Entry{Dirent: Dirent{Name: string(bytes.Repeat([]byte("n"), 100))}}
	for n := range 3 {
		_, err := c.List(ctx, "a")
		if (n < 2) != (err == nil) {
			t.Errorf("a list of %d entries: %v", n, err)
		}
		if err := c.Update(ctx, "a", entry); err != nil {
			t.Fatal(err)
		}
	}

	for n, want := range map[int]bool{9: true, 10: false} {
		block, err := AppendRefs(nil, refs[:n]...)
		if err != nil {
			t.Fatal(err)
		}
		root := mustAdd(t, c, string(block))
		if there, err := c.ContainsIndirect(ctx, root); there != want || (err == nil) != want {
			t.Errorf("a tree of %d blocks: %v, %v", n+1, there, err)
		}
	}
}

func TestContainsIndirect(t *testing.T) {
	ctx := t.Context()
	c := NewClient(served(t, NewService(NewMemory(SHA256, 0), Options{})), SHA256)
	leaf := func(s string) Ref { return Ref{Code: SHA256.Sum([]byte(s)), Span: uint64(len(s))} }
	list := func(refs ...Ref) Ref {
		block, err := AppendRefs(nil, refs...)
		if err != nil {
			t.Fatal(err)
		}
		return Ref{Indirect: true, Code: mustAdd(t, c, string(block))}
	}
	mustAdd(t, c, "here")
	here, missing := leaf("here"), leaf("missing")
	part := Ref{Type: RefPart, Span: 1, Of: &missing}
	// Each is twice in the next: 2 to the power of 60 paths.
	many := list(here)
	for range 60 {
		many = list(many, many)
	}
	for _, test := range []struct {
		name string
		root Ref
		want bool
	}{
		{"nothing in it", list(), true},
		{"all there", list(here, Ref{Type: RefRun, Run: 1, Span: 5}, Ref{Type: RefLiteral, Span: 1, Literal: []byte{1}}), true},
		{"one missing", list(here, missing), false},
		{"below", list(here, list(here, list(here))), true},
		{"one missing below", list(here, list(here, list(missing))), false},
		{"an indirect one missing", list(here, Ref{Indirect: true, Code: missing.Code}), false},
		{"a part of one that is missing", list(here, part), false},
		{"of another class", list(Ref{Code: SHA1.Sum([]byte("here"))}), false},
		{"as many paths as there are grains of sand", many, true},
	} {
		if there, err := c.ContainsIndirect(ctx, test.root.Code); there != test.want || err != nil {
			t.Errorf("%s: %v, %v, want %v", test.name, there, err, test.want)
		}
	}
}

// broken is a backend of which nothing works.
type broken struct{ Backend }

var errBroken = errors.New("broken")

func (broken) Class() Class                                      { return SHA1 }
func (broken) Put(context.Context, Code, []byte) (bool, error)   { return false, errBroken }
func (broken) Get(context.Context, Code) ([]byte, error)         { return nil, errBroken }
func (broken) Has(context.Context, Code) (bool, error)           { return false, errBroken }
func (broken) Length(context.Context) (uint64, error)            { return 0, errBroken }
func (broken) Sync(context.Context) error                        { return errBroken }
func (broken) Archives() (Archives, error)                       { return broken{}, nil }
func (broken) Append(context.Context, ArchiveName, []byte) error { return errBroken }
func (broken) Last(context.Context, ArchiveName) ([]byte, error) { return nil, errBroken }
func (broken) Codes(context.Context, Code) iter.Seq2[Code, error] {
	return func(yield func(Code, error) bool) { yield(Code{}, errBroken) }
}
func (broken) Entries(context.Context, ArchiveName) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) { yield(nil, errBroken) }
}

// What a backend cannot do is refused, whatever it is, and never taken for missing.
func TestBrokenBackend(t *testing.T) {
	c := NewClient(served(t, NewService(broken{}, Options{})), SHA1)
	questions := everyQuestion(t, c)
	questions["Update"] = func() error { return c.Update(t.Context(), "a", Entry{}) }
	for name, ask := range questions {
		if err := ask(); !errors.Is(err, stream.ErrRejected) {
			t.Errorf("%s: %v, want a refusal", name, err)
		}
	}
}

// outcomes tells how requests have ended, one after the other.
type outcomes chan string

func (outcomes) Events() stream.EventSet { return stream.Events(stream.EventRequestDone) }

func (outcomes) Begin(ctx context.Context, _ *stream.Event) context.Context { return ctx }

func (o outcomes) Observe(_ context.Context, e *stream.Event) {
	o <- fmt.Sprintf("%s: %v", e.Rejection, e.Err)
}

// What the peer gets wrong is declined; a failure is what the store cannot do. The
// peer sees no difference, but those on call do.
func TestRefusalsAreNoFailures(t *testing.T) {
	m := NewMemory(SHA1, 100)
	seen := make(outcomes, 10)
	conn := connectedAnd(t, NewService(withoutArchives{m}, Options{MaxAnswer: 21}).Mux(), seen)
	one := SHA1.Sum([]byte("one"))
	ctx := t.Context()
	for _, block := range []string{"one", "two"} {
		mustAdd(t, NewClient(conn, SHA1), block)
		<-seen
	}
	for _, test := range []struct {
		name, want string
		ask        func() error
	}{
		{"another class", "declined: the store has another hash class: sha1, not sha256", func() error {
			_, err := Add.Do(ctx, conn, AddRequest{SHA256, nil})
			return err
		}},
		{"too many", "declined: the answer would be too long, ask for less: 1 codes at most", func() error {
			_, err := HashCodes.Do(ctx, conn, Window{Class: SHA1})
			return err
		}},
		{"no archives", "declined: the store keeps no archives", func() error {
			_, err := ArchiveList.Do(ctx, conn, "a")
			return err
		}},
		{"no indirect block", "declined: " + one.String() + ": not an indirect block: ", func() error {
			_, err := ContainsIndirect.Do(ctx, conn, one)
			return err
		}},
		{"full", "handler_error: the store is full: 6 bytes of 100 are in use", func() error {
			_, err := Add.Do(ctx, conn, AddRequest{SHA1, make([]byte, 100)})
			return err
		}},
	} {
		err := test.ask()
		refused := (*stream.Error)(nil)
		if !errors.As(err, &refused) || refused.Flags != 0 || string(refused.Payload) != "exception during handler" {
			t.Errorf("%s: the peer sees %v", test.name, err)
		}
		if got := <-seen; !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: observers see %q, want %q", test.name, got, test.want)
		}
	}
}
