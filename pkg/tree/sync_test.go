package tree

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// numbered stores small blocks, of which some are left out.
func numbered(t testing.TB, n int, without func(int) bool) *memory {
	t.Helper()
	m := newMemory(t)
	for i := range n {
		if without == nil || !without(i) {
			m.put(t, fmt.Appendf(nil, "block %d", i))
		}
	}
	return m
}

func checksum(t testing.TB, m *memory) store.Checksum {
	t.Helper()
	var codes []store.Code
	for code, err := range m.Codes(t.Context(), store.Code{}) {
		if err != nil {
			t.Fatal(err)
		}
		codes = append(codes, code)
	}
	return store.ChecksumOf(m.Class(), codes)
}

func TestSync(t *testing.T) {
	const n = 9_000
	all := func(int) bool { return true }
	for _, test := range []struct {
		name     string
		from, to *memory
		missing  uint64
		asked    int64 // at most, beside Gets and Adds
	}{
		{"equal", numbered(t, n, nil), numbered(t, n, nil), 0, 2 * (n/windowLength + 2)},
		{"both empty", newMemory(t), newMemory(t), 0, 2},
		{"nothing there", numbered(t, n, nil), newMemory(t), n, 100},
		{"nothing to copy", newMemory(t), numbered(t, n, nil), 0, 2},
		{"one missing", numbered(t, n, nil), numbered(t, n, func(i int) bool { return i == 777 }), 1, 2*(n/windowLength+2) + 4},
		{"some missing", numbered(t, n, nil), numbered(t, n, func(i int) bool { return i%100 == 0 }), n / 100, 100},
		{"other side has more", numbered(t, n, func(i int) bool { return i%50 != 0 }), numbered(t, n, func(i int) bool { return i%100 == 0 }), n / 100, 100},
		{"nothing in common", numbered(t, n, func(i int) bool { return i%2 == 0 }), numbered(t, n, func(i int) bool { return i%2 == 1 }), n / 2, 100},
		{"few into many", numbered(t, 10, nil), numbered(t, n, func(i int) bool { return i < 10 }), 10, 100},
		{"exactly a window", numbered(t, windowLength, nil), numbered(t, windowLength, all), windowLength, 100},
	} {
		var p Progress
		toBefore, _ := test.to.Length(t.Context())
		if err := Sync(t.Context(), test.from, test.to, Options{Progress: &p}); err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		c := p.Counts()
		asked := test.from.asked.Load() + test.to.asked.Load() - 2*int64(c.BlocksMoved)
		if c.BlocksMoved != test.missing || asked > test.asked || test.to.twice != 0 {
			t.Errorf("%s: %+v, %d requests beside, %d sent twice, want %d blocks and at most %d requests", test.name, c, asked, test.to.twice, test.missing, test.asked)
		}
		t.Logf("%s: %d blocks moved, %d requests beside", test.name, c.BlocksMoved, asked)
		for code := range test.from.Codes(t.Context(), store.Code{}) {
			if has, _ := test.to.Has(t.Context(), code); !has {
				t.Errorf("%s: %v is missing", test.name, code)
				break
			}
		}
		if after, _ := test.to.Length(t.Context()); after != toBefore+test.missing {
			t.Errorf("%s: %d blocks afterwards", test.name, after)
		}
		if test.name == "equal" && checksum(t, test.from) != checksum(t, test.to) {
			t.Errorf("%s: they are not", test.name)
		}
	}
}

func TestSyncResumes(t *testing.T) {
	from, to := numbered(t, 3000, nil), newMemory(t)
	var sent atomic.Int64
	to.onAdd = func(store.Code) error {
		if sent.Add(1) == 1000 {
			return errKilled
		}
		return nil
	}
	if err := Sync(t.Context(), from, to, Options{}); !errors.Is(err, errKilled) {
		t.Fatalf("it was not cut off: %v", err)
	}
	var p Progress
	if err := Sync(t.Context(), from, to, Options{Progress: &p}); err != nil {
		t.Fatal(err)
	}
	// What was under way when the first was cut off may have arrived later.
	if to.twice > DefaultBytes/MaxChunk || checksum(t, from) != checksum(t, to) {
		t.Errorf("%d blocks were sent twice, %v and %v", to.twice, checksum(t, from), checksum(t, to))
	}
}

// What the other store forgot with its connection is found again.
func TestSyncAfterLostConnection(t *testing.T) {
	from, to := numbered(t, 3000, nil), &forgetful{memory: newMemory(t)}
	to.after.Store(1000)
	if err := Sync(t.Context(), from, to, Options{Epoch: to.epoch.Load}); err != nil {
		t.Fatal(err)
	}
	if checksum(t, from) != checksum(t, to.memory) {
		t.Error("blocks are missing")
	}
}

// of is a store of another class.
type of struct {
	Store
	class store.Class
}

func (o of) Class() store.Class { return o.class }

func TestSyncOfOtherClasses(t *testing.T) {
	m := newMemory(t)
	if err := Sync(t.Context(), m, of{m, store.SHA1}, Options{}); !errors.Is(err, store.ErrOtherClass) {
		t.Errorf("Sync: %v, want ErrOtherClass", err)
	}
}

// A block that cannot be read ends Sync, and is what it tells of.
func TestSyncFails(t *testing.T) {
	from := numbered(t, 3000, nil)
	from.onGet = func(store.Code) ([]byte, error) { return nil, store.ErrCorrupt }
	if err := Sync(t.Context(), from, newMemory(t), Options{}); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("Sync: %v, want ErrCorrupt", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Sync(ctx, numbered(t, 1, nil), newMemory(t), Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Sync with an ended context: %v", err)
	}
}

// brief is a store that lists less at a time than it is asked for.
type brief struct {
	*memory
	most uint64
}

func (b brief) HashCodes(ctx context.Context, start store.Code, after bool, n uint64) ([]store.Code, error) {
	if b.most == 0 {
		return nil, nil
	}
	return b.memory.HashCodes(ctx, start, after, min(n, b.most))
}

// A short list is not taken for the end of a store.
func TestSyncOfShortLists(t *testing.T) {
	from, to := numbered(t, 5000, nil), newMemory(t)
	if err := Sync(t.Context(), brief{from, 1000}, to, Options{}); err != nil || checksum(t, from) != checksum(t, to) {
		n, _ := to.Length(t.Context())
		t.Errorf("%d of 5000 blocks are there, %v", n, err)
	}
	if err := Sync(t.Context(), brief{from, 0}, newMemory(t), Options{}); !errors.Is(err, store.ErrAnswer) {
		t.Errorf("a store that lists nothing: %v, want ErrAnswer", err)
	}
}
