package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/store"
)

var errKilled = errors.New("killed")

// A Put that is cut off in the middle, several times, sends no block that is there.
func TestPutResumes(t *testing.T) {
	source := plant(t, 11)
	whole := newMemory(t)
	want, err := Put(t.Context(), whole, source, Options{})
	if err != nil {
		t.Fatal(err)
	}
	blocks, _ := whole.Length(t.Context())

	m := newMemory(t)
	for cut := range 4 {
		ctx, cancel := context.WithCancelCause(t.Context())
		var sent atomic.Int64
		m.onAdd = func(store.Code) error {
			if sent.Add(1) > int64(blocks/8) && cut < 3 {
				cancel(errKilled)
			}
			return nil
		}
		root, err := Put(ctx, m, source, Options{MaxBlocks: 8})
		cancel(nil)
		if cut < 3 {
			if err == nil {
				t.Fatalf("run %d was not cut off", cut)
			}
			continue
		}
		if err != nil || text(t, root) != text(t, want) {
			t.Fatalf("the last run: %+v, %v", root, err)
		}
	}
	if m.twice > 3*8 { // those that were under way when a run was cut off may have arrived later
		t.Errorf("%d blocks were sent when they were there", m.twice)
	}
	if n, _ := m.Length(t.Context()); n != blocks {
		t.Errorf("%d blocks, want %d", n, blocks)
	}
}

// A Get that is cut off goes on with what it has, in files that were not complete, too.
func TestGetResumes(t *testing.T) {
	source, dest := plant(t, 12), t.TempDir()
	m := newMemory(t)
	root, err := Put(t.Context(), m, source, Options{})
	if err != nil {
		t.Fatal(err)
	}
	const few = 1 << 10 // bytes: no block is kept for others that are the same
	var whole Progress
	if err := Get(t.Context(), m, root, t.TempDir(), Options{Progress: &whole, MaxBytes: few}); err != nil {
		t.Fatal(err)
	}
	var moved uint64
	unfinished := false
	for cut := range 5 {
		var got atomic.Int64
		m.onGet = func(store.Code) ([]byte, error) {
			if got.Add(1) > int64(75+8*cut) && cut < 4 { // some 65 are for directories
				return nil, errKilled
			}
			return nil, nil
		}
		var p Progress
		err := Get(t.Context(), m, root, dest, Options{Progress: &p, MaxBytes: few})
		moved += p.Counts().BlocksMoved
		if cut < 4 {
			if !errors.Is(err, errKilled) {
				t.Fatalf("run %d was not cut off: %v", cut, err)
			}
			for name := range tell(t, dest) {
				unfinished = unfinished || strings.HasPrefix(filepath.Base(name), unfinishedPrefix)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	same(t, dest, source)
	if !unfinished {
		t.Error("no file was cut off in its middle")
	}
	if want := whole.Counts().BlocksMoved; moved != want {
		t.Errorf("%d blocks were fetched in all, want %d", moved, want)
	}
}

// Of a file that was changed in the middle only what differs is fetched.
func TestGetFetchesWhatDiffers(t *testing.T) {
	m := newMemory(t)
	data := random(1, 4<<20)
	root, err := PutReader(t.Context(), m, bytes.NewReader(data), Options{})
	if err != nil {
		t.Fatal(err)
	}
	dest := filepath.Join(t.TempDir(), "file")
	for _, at := range []int{0, 2 << 20, 4<<20 - 1} {
		changed := bytes.Clone(data)
		changed[at] ^= 1
		if err := os.WriteFile(dest, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		var p Progress
		if err := Get(t.Context(), m, root, dest, Options{Progress: &p}); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(dest); err != nil || !bytes.Equal(got, data) {
			t.Errorf("changed at %d: %d other bytes, %v", at, len(got), err)
		}
		if c := p.Counts(); c.BlocksMoved != 1 {
			t.Errorf("changed at %d: %+v, want one block", at, c)
		}
	}
}

// forgetful is a store of which blocks are lost once, as if it had crashed before they
// were durable, with the connection.
type forgetful struct {
	*memory
	after, adds atomic.Int64
	epoch       atomic.Uint64
}

func (f *forgetful) AddAs(ctx context.Context, code store.Code, data []byte) error {
	if f.adds.Add(1) <= f.after.Load() {
		return nil // and it is gone
	}
	f.epoch.CompareAndSwap(0, 1)
	return f.memory.AddAs(ctx, code, data)
}

// What a store has forgotten with a lost connection is sent again before it is said
// that all is there.
func TestPutAfterLostConnection(t *testing.T) {
	f := &forgetful{memory: newMemory(t)}
	f.after.Store(20)
	source := plant(t, 13)
	root, err := Put(t.Context(), f, source, Options{Epoch: f.epoch.Load})
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(t.Context(), f, root, Options{}); err != nil {
		t.Error(err)
	}

	// Without looking again nobody would know.
	f = &forgetful{memory: newMemory(t)}
	f.after.Store(20)
	root, err = Put(t.Context(), f, source, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(t.Context(), f, root, Options{}); !errors.Is(err, store.ErrMissing) {
		t.Errorf("Check of a store that has lost blocks: %v", err)
	}

	// A stream cannot be read again.
	f = &forgetful{memory: newMemory(t)}
	f.after.Store(3)
	_, err = PutReader(t.Context(), f, bytes.NewReader(random(1, 4<<20)), Options{Epoch: f.epoch.Load})
	if !errors.Is(err, store.ErrMissing) {
		t.Errorf("PutReader: %v, want ErrMissing", err)
	}

	// A connection that is lost all the time.
	var epoch atomic.Uint64
	_, err = Put(t.Context(), newMemory(t), source, Options{Epoch: func() uint64 { return epoch.Add(1) }})
	if !errors.Is(err, ErrUnstable) {
		t.Errorf("Put: %v, want ErrUnstable", err)
	}
}

// What is read again since a connection was lost is counted once, what is sent again as
// often as it is.
func TestPutCountsOnce(t *testing.T) {
	source := plant(t, 16)
	var whole, again Progress
	if _, err := Put(t.Context(), newMemory(t), source, Options{Progress: &whole}); err != nil {
		t.Fatal(err)
	}
	f := &forgetful{memory: newMemory(t)}
	f.after.Store(20)
	if _, err := Put(t.Context(), f, source, Options{Progress: &again, Epoch: f.epoch.Load}); err != nil {
		t.Fatal(err)
	}
	want, got := whole.Counts(), again.Counts()
	if uint64(f.adds.Load()) <= want.BlocksMoved || got.BlocksMoved != uint64(f.adds.Load()) {
		t.Errorf("%d blocks moved, and %d were sent, of %d", got.BlocksMoved, f.adds.Load(), want.BlocksMoved)
	}
	for _, c := range []*Counts{&want, &got} {
		c.BlocksMoved, c.BytesMoved, c.BlocksThere, c.BytesThere = 0, 0, 0, 0
	}
	if got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
}

// Check finds any block that is missing.
func TestCheck(t *testing.T) {
	m := newMemory(t)
	root, err := Put(t.Context(), m, plant(t, 14), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var codes []store.Code
	for code, err := range m.Codes(t.Context(), store.Code{}) {
		if err != nil {
			t.Fatal(err)
		}
		codes = append(codes, code)
	}
	for i := 0; i < len(codes); i += 41 {
		lacking := newMemory(t)
		for j, code := range codes {
			if i != j {
				data, _ := m.Memory.Get(t.Context(), code)
				lacking.put(t, data)
			}
		}
		if err := Check(t.Context(), lacking, root, Options{}); !errors.Is(err, store.ErrMissing) {
			t.Errorf("without %v: %v", codes[i], err)
		}
		if err := Get(t.Context(), lacking, root, t.TempDir(), Options{}); !errors.Is(err, store.ErrMissing) {
			t.Errorf("Get without %v: %v", codes[i], err)
		}
	}
}

// The first error ends Put, and is what it returns.
func TestPutFails(t *testing.T) {
	m := newMemory(t)
	var n atomic.Int64
	m.onAdd = func(store.Code) error {
		if n.Add(1) > 10 {
			return fmt.Errorf("no room: %w", store.ErrFull)
		}
		return nil
	}
	_, err := Put(t.Context(), m, plant(t, 15), Options{Notice: noticed(t)})
	if !errors.Is(err, store.ErrFull) {
		t.Errorf("Put: %v, want ErrFull", err)
	}
}

// crashing is a store that ends when it is told to flush, the second time before it has
// made anything durable.
type crashing struct {
	*memory
	epoch atomic.Uint64
}

func (c *crashing) Flush(context.Context) error {
	c.epoch.Add(1)
	return nil
}

func (c *crashing) Contains(ctx context.Context, code store.Code) (bool, error) {
	if c.epoch.Load() == 2 {
		return false, nil
	}
	return c.memory.Contains(ctx, code)
}

// What was looked for again may have been forgotten again.
func TestPutReaderAfterTwoLostConnections(t *testing.T) {
	c := &crashing{memory: newMemory(t)}
	_, err := PutReader(t.Context(), c, bytes.NewReader([]byte("one block")), Options{Epoch: c.epoch.Load})
	if !errors.Is(err, store.ErrMissing) {
		t.Errorf("%v after %d connections, want ErrMissing", err, c.epoch.Load())
	}
}
