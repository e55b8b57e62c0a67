package cached

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/storetest"
)

func TestBackend(t *testing.T) {
	for name, limit := range map[string]int64{"default": 0, "tiny": 1000} {
		t.Run(name, func(t *testing.T) {
			storetest.TestBackend(t, func(_ *testing.T, class store.Class) store.Backend {
				return New(store.NewMemory(class, 0), limit)
			})
		})
	}
}

// slow is a backend whose Get takes a second, and may fail or lie.
type slow struct {
	*store.Memory
	gets int
	err  error
	lie  []byte
}

func (s *slow) Get(ctx context.Context, code store.Code) ([]byte, error) {
	s.gets++
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s.err != nil {
		return nil, s.err
	}
	if s.lie != nil {
		return bytes.Clone(s.lie), nil
	}
	return s.Memory.Get(ctx, code)
}

func newSlow() *slow { return &slow{Memory: store.NewMemory(store.SHA256, 0)} }

func TestReadsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 10 * (1000 + overhead)
		below := newSlow()
		b := New(below, limit)
		var all []store.Code
		for n := range 11 {
			all = append(all, storetest.Put(t, below, storetest.Block(n, 1000)))
		}
		for _, n := range []int{
			0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
			0,  // now 1 is the one that nobody has wanted for the longest time
			10, // so that it goes
			0, 0, 1,
		} {
			data, err := b.Get(t.Context(), all[n])
			if err != nil || !bytes.Equal(data, storetest.Block(n, 1000)) {
				t.Fatalf("block %d: %d other bytes, %v", n, len(data), err)
			}
			clear(data) // which belongs to whoever asked
		}
		want := Stats{Hits: 3, Misses: 12, Evicted: 2, Blocks: 10, Bytes: limit, Limit: limit}
		if got := b.Stats(); got != want || below.gets != 12 {
			t.Errorf("%+v after %d reads below, want %+v after 12", got, below.gets, want)
		}
		for _, n := range []int{0, 2} { // kept, and not
			if has, err := b.Has(t.Context(), all[n]); !has || err != nil {
				t.Errorf("Has of block %d: %v, %v", n, has, err)
			}
		}
	})
}

func TestBlocksThatAreNotKept(t *testing.T) {
	for _, test := range []struct {
		name string
		with func(*slow)
		size int
	}{
		{"above the limit", func(*slow) {}, 2000},
		{"of another hash", func(s *slow) { s.lie = []byte("lie") }, 10},
		{"missing", func(s *slow) { s.err = store.ErrMissing }, 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				below := newSlow()
				b := New(below, 2000)
				code := storetest.Put(t, below, storetest.Block(1, test.size))
				test.with(below)
				for range 2 {
					data, err := b.Get(t.Context(), code)
					if !errors.Is(err, below.err) {
						t.Fatalf("Get: %v", err)
					}
					if below.lie != nil && !bytes.Equal(data, below.lie) {
						t.Errorf("Get: %q, want what the backend has, for the service to find out", data)
					}
				}
				if s := b.Stats(); below.gets != 2 || s.Blocks != 0 || s.Bytes != 0 {
					t.Errorf("%d reads below, %+v", below.gets, s)
				}
			})
		})
	}
}

func TestReadsOfOneBlockAreOne(t *testing.T) {
	for _, size := range []int{100, 5000} { // kept, and too long for that
		synctest.Test(t, func(t *testing.T) {
			below := newSlow()
			b := New(below, 2000)
			data := storetest.Block(1, size)
			code := storetest.Put(t, below, data)
			for range 10 {
				go func() {
					got, err := b.Get(t.Context(), code)
					if err != nil || !bytes.Equal(got, data) {
						t.Errorf("Get: %d other bytes, %v", len(got), err)
					}
					clear(got) // which belongs to whoever asked
				}()
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if s := b.Stats(); below.gets != 1 || s.Misses != 1 || s.Shared != 9 {
				t.Errorf("%d reads below, %+v", below.gets, s)
			}
		})
	}
}

func TestFailuresAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := newSlow()
		below.err = errors.New("on fire")
		b := New(below, 0)
		for range 10 {
			go func() {
				if _, err := b.Get(t.Context(), store.Code{}); !errors.Is(err, below.err) {
					t.Errorf("Get: %v", err)
				}
			}()
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if below.gets != 1 {
			t.Errorf("%d reads below, want 1", below.gets)
		}
	})
}

// Whoever reads for others may go away: then another reads. Whoever waits may go
// away, too.
func TestReadersMayLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := newSlow()
		b := New(below, 0)
		code := storetest.Put(t, below, []byte("block"))
		leave := func(after time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			start := time.Now()
			if _, err := b.Get(ctx, code); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != after {
				t.Errorf("left after %v, want %v: %v", time.Since(start), after, err)
			}
		}
		go leave(500 * time.Millisecond)
		synctest.Wait()
		go leave(200 * time.Millisecond)
		go func() {
			if data, err := b.Get(t.Context(), code); string(data) != "block" || err != nil {
				t.Errorf("Get: %q, %v", data, err)
			}
		}()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if below.gets != 2 {
			t.Errorf("%d reads below, want 2", below.gets)
		}
	})
}
