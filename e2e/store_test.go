package e2e

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/pktsvc/pktsvc/pkg/server"
	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/instrument"
)

// serveStore starts a store on disk and waits until it is ready.
func serveStore(t *testing.T, env []string) *service {
	t.Helper()
	return serve(t, program{path: pktsvc, env: env}, "--service", "store", "--data", t.TempDir())
}

// useStore asks a store for all that it can do, ten times a second, until the test
// ends: some blocks are new, some are there, some are missing.
func (s *service) useStore(t *testing.T) {
	t.Helper()
	c := store.NewClient(s.connect(t), store.DefaultClass)
	s.repeat(t, func(ctx context.Context, n int) error {
		code, err := c.Add(ctx, block(n/2))
		if err != nil {
			return err
		}
		_, err = c.Get(ctx, code)
		_, missing := c.Get(ctx, c.Class().Sum(nil))
		if errors.Is(missing, store.ErrMissing) {
			missing = nil
		}
		_, had := c.Contains(ctx, code)
		_, listed := c.HashCodes(ctx, code, false, 10)
		_, counted := c.Length(ctx)
		appended := c.Update(ctx, "all", store.Entry{When: 1, Dirent: store.Dirent{Name: "file"}})
		_, last := c.Last(ctx, "all")
		_, all := c.List(ctx, "all")
		return errors.Join(err, missing, had, listed, counted, appended, last, all, c.Flush(ctx))
	})
}

// repeat calls use ten times a second until the test ends, in which nothing may fail.
func (s *service) repeat(t *testing.T, use func(ctx context.Context, n int) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		tick := time.Tick(100 * time.Millisecond)
		for n := 0; ; n++ {
			if err := use(ctx, n); err != nil && ctx.Err() == nil {
				t.Errorf("the use of a store: %v", err)
				return
			}
			select {
			case <-tick:
			case <-ctx.Done():
				return
			}
		}
	}()
}

// block is a block that is another for each number.
func block(n int) []byte { return binary.BigEndian.AppendUint64(make([]byte, 4096), uint64(n)) }

// breakStore asks a store that storesBadly for what it cannot do, until the test ends.
func (s *service) breakStore(t *testing.T) {
	t.Helper()
	c := store.NewClient(s.connect(t), store.DefaultClass)
	s.repeat(t, func(ctx context.Context, n int) error {
		_, _ = c.Add(ctx, block(n))
		_, _ = c.Get(ctx, c.Class().Sum(block(0)))
		_, _ = c.Contains(ctx, c.Class().Sum(block(0)))
		_ = c.Flush(ctx)
		return nil
	})
}

// storingBadly serves a store that is full after one block, which is damaged, and
// that cannot be asked or synced.
func storingBadly(r *prom.Registry) (server.Service, error) {
	observed, err := instrument.New(r, instrument.Options{})
	if err != nil {
		return server.Service{}, err
	}
	backend := damaged{store.NewMemory(store.DefaultClass, uint64(len(block(0))))}
	s := store.NewService(observed.Backend(backend), observed.Options(store.Options{}))
	return server.Service{Name: "storing badly", Mux: s.Mux()}, nil
}

type damaged struct{ *store.Memory }

var errDamaged = errors.New("the disk is damaged")

func (d damaged) Get(ctx context.Context, code store.Code) ([]byte, error) {
	data, err := d.Memory.Get(ctx, code)
	if err == nil {
		data[0]++
	}
	return data, err
}

func (damaged) Has(context.Context, store.Code) (bool, error) { return false, errDamaged }

func (damaged) Sync(context.Context) error { return errDamaged }
