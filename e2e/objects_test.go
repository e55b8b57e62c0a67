package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/object"
	"github.com/pktsvc/pktsvc/pkg/store/storetest"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// openObjects opens a store on an object store, which is closed with the test.
func openObjects(t *testing.T, on *objectStore, prefix string) *object.Store {
	t.Helper()
	o, err := object.ParseURL(on.url(prefix))
	if err != nil {
		t.Fatal(err)
	}
	o.Class = store.BLAKE3
	s, err := object.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// Everything that a backend promises, on real object stores.
func TestObjectStores(t *testing.T) {
	useObjectCredentials(t)
	for _, on := range objectStores {
		t.Run(on.name, func(t *testing.T) {
			running := on.start(t)
			stores := 0
			storetest.TestBackend(t, func(t *testing.T, class store.Class) store.Backend {
				stores++
				o, err := object.ParseURL(running.url(fmt.Sprint("store-", stores)))
				if err != nil {
					t.Fatal(err)
				}
				o.Class = class
				s, err := object.Open(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				if got := s.Stats().Conditional; got != on.conditional {
					t.Errorf("conditional writes: %v, want %v", got, on.conditional)
				}
				return s
			})
			t.Run("refuses wrong credentials", func(t *testing.T) {
				if running.open {
					return
				}
				t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
				o, _ := object.ParseURL(running.url("store-1"))
				if _, err := object.Open(t.Context(), o); !errors.Is(err, object.ErrDenied) {
					t.Errorf("Open: %v, want ErrDenied", err)
				}
			})
			t.Run("has no such bucket", func(t *testing.T) {
				o, _ := object.ParseURL(strings.Replace(running.url("x"), objectBucket, "nowhere", 1))
				if _, err := object.Open(t.Context(), o); !errors.Is(err, object.ErrNoBucket) {
					t.Errorf("Open: %v, want ErrNoBucket", err)
				}
			})
		})
	}
}

// Several processes put the same blocks and append to the same archive at the same
// time: with conditional writes each block is new to one of them, and all see one
// order; without, blocks are there all the same.
func TestObjectStoresUnderRaces(t *testing.T) {
	useObjectCredentials(t)
	for _, on := range objectStores {
		t.Run(on.name, func(t *testing.T) {
			running := on.start(t)
			const processes, blocks, entries = 4, 100, 25
			added := make([]atomic.Int64, blocks)
			stores := make([]*object.Store, processes)
			var all sync.WaitGroup
			for p := range processes {
				s := openObjects(t, running, "races")
				stores[p] = s
				all.Go(func() {
					for n := range blocks {
						data := storetest.Block(n, 4<<10)
						is, err := s.Put(t.Context(), s.Class().Sum(data), data)
						if err != nil {
							t.Errorf("Put: %v", err)
						}
						if is {
							added[n].Add(1)
						}
					}
				})
				if !on.conditional {
					continue
				}
				archives, err := s.Archives()
				if err != nil {
					t.Fatal(err)
				}
				all.Go(func() {
					for n := range entries {
						if err := archives.Append(t.Context(), "log", fmt.Appendf(nil, "%d %02d", p, n)); err != nil {
							t.Errorf("Append: %v", err)
						}
					}
				})
			}
			all.Wait()
			repeated := 0
			for n := range added {
				switch times := added[n].Load(); {
				case times == 0:
					t.Errorf("block %d was new to nobody", n)
				case times > 1 && on.conditional:
					t.Errorf("block %d was new %d times", n, times)
				case times > 1:
					repeated++
				}
			}
			t.Logf("%d of %d blocks were reported as new by more than one of %d processes", repeated, blocks, processes)
			if n, err := stores[0].Length(t.Context()); n != blocks || err != nil {
				t.Errorf("Length: %d, %v, want %d", n, err, blocks)
			}
			if !on.conditional {
				return
			}
			var first []string
			for _, s := range stores {
				archives, _ := s.Archives()
				var list []string
				for entry, err := range archives.Entries(t.Context(), "log") {
					if err != nil {
						t.Fatal(err)
					}
					list = append(list, string(entry))
				}
				if first == nil {
					first = list
				}
				if !slices.Equal(list, first) || len(list) != processes*entries {
					t.Errorf("%d entries, want %d, in one order", len(list), processes*entries)
				}
			}
		})
	}
}

// Two services have one store. While a client adds blocks over both, one of them is
// killed: every block that was added, also by it, is there by way of the other.
func TestTwoServersOneStore(t *testing.T) {
	for _, on := range objectStores {
		if !on.conditional {
			continue // which makes no difference here
		}
		t.Run(on.name, func(t *testing.T) {
			running := on.start(t)
			servers := []*service{}
			for range 2 {
				servers = append(servers, serve(t, program{env: objectCredentials}, "--service", "store", "--backend", running.url("shared")))
			}
			const blocks, workers = 2000, 32
			clients := make([]*store.Client, len(servers))
			var dials atomic.Int64
			for i := range servers {
				c, err := stream.NewClient(alternating(servers, i, &dials), stream.ClientOptions{})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.Close() })
				clients[i] = store.NewClient(c, store.DefaultClass)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()

			var next, done atomic.Int64
			codes := make([]store.Code, blocks)
			killed := make(chan struct{})
			var all sync.WaitGroup
			for w := range workers {
				all.Go(func() {
					for n := next.Add(1) - 1; n < blocks; n = next.Add(1) - 1 {
						code, err := clients[w%len(clients)].Add(ctx, storetest.Block(int(n), 4<<10))
						if err != nil {
							t.Errorf("Add: %v", err)
							return
						}
						codes[n] = code
						if done.Add(1) == blocks/4 {
							go func() {
								servers[0].kill()
								close(killed)
							}()
						}
					}
				})
			}
			all.Wait()
			<-killed
			if dials.Load() <= int64(len(servers)) {
				t.Error("nobody noticed that a server was killed")
			}
			left, err := stream.NewClient(stream.DialNetwork("tcp", servers[1].addr), stream.ClientOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer left.Close()
			survivor := store.NewClient(left, store.DefaultClass)
			if n, err := survivor.Length(ctx); n != blocks || err != nil {
				t.Errorf("Length: %d, %v, want %d", n, err, blocks)
			}
			for n, code := range codes {
				if _, err := survivor.Get(ctx, code); err != nil { // which checks the hash
					t.Fatalf("block %d: %v", n, err)
				}
			}
			t.Logf("%d blocks, a server killed after %d", blocks, blocks/4)
		})
	}
}

// alternating dials the servers in turn, beginning with one, and counts.
func alternating(servers []*service, first int, count *atomic.Int64) stream.Dial {
	var dials []stream.Dial
	for _, s := range servers {
		dials = append(dials, stream.DialNetwork("tcp", s.addr))
	}
	var n atomic.Int64
	n.Store(int64(first) - 1)
	return func(ctx context.Context) (io.ReadWriter, func() error, error) {
		count.Add(1)
		return dials[n.Add(1)%int64(len(dials))](ctx)
	}
}

// A program that cannot open its store says why and ends, and tells no secrets.
func TestNoObjectStore(t *testing.T) {
	useObjectCredentials(t)
	on := startRclone(t)
	for want, url := range map[string]string{
		"has no such bucket":        strings.Replace(on.url("x"), objectBucket, "nowhere", 1),
		"credentials do not belong": "s3://" + objectKey + ":" + objectSecret + "@" + objectBucket,
	} {
		cmd := exec.CommandContext(t.Context(), pktsvc, "serve", "--listen", "tcp://"+address(t), "--admin", address(t), "--service", "store", "--backend", url)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("serve with %s: %v, want %q:\n%s", url, err, want, out)
		}
		if strings.Contains(string(out), objectSecret) {
			t.Errorf("serve with %s tells the secret:\n%s", url, out)
		}
	}
}
