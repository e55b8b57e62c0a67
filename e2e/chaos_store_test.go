package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// A store is killed a hundred times while blocks are pushed to it: whatever an answered
// flush has covered, or an answered add where it syncs always, is there afterwards.
// (The system keeps what a killed process has written. Losses of power are simulated in
// package store/disk.)
func TestChaosStoreKill(t *testing.T) {
	for _, sync := range []string{"flush", "always"} {
		t.Run(sync, func(t *testing.T) {
			const kills = 50
			addr, admin, data := address(t), address(t), t.TempDir()
			start := func() *service {
				s := begin(t, program{}, addr, admin, "--service", "store", "--data", data, "--sync", sync)
				s.ready(t, s.url("/readyz"))
				return s
			}
			s := start()
			p := &pusher{always: sync == "always"}
			var all []store.Code
			for range kills {
				var covered []store.Code
				talk(t, addr, func(c *store.Client) {
					covered = p.pushUntil(t, c, s.kill)
				})
				if len(covered) == 0 {
					t.Fatal("no block was covered before the kill")
				}
				all = append(all, covered...)
				s = start()
				talk(t, addr, func(c *store.Client) { there(t, c, covered) })
			}
			s.kill()
			s = start()
			talk(t, addr, func(c *store.Client) { there(t, c, all) })
			t.Logf("guarantee: TestChaosStoreKill --sync %s: %d kills, %d blocks covered, %d more were on their way, none lost", sync, kills, len(all), p.underWay)
			s.signal(t, terminated)
			<-s.done
			if s.err != nil {
				t.Errorf("it did not end in order: %v", s.err)
			}
		})
	}
}

// talk lets a client ask over a connection of its own.
func talk(t *testing.T, addr string, use func(*store.Client)) {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := stream.NewConn(nc, stream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	use(store.NewClient(conn, store.BLAKE3))
}

// pusher adds blocks, each of them new.
type pusher struct {
	always   bool // an answered add is durable
	underWay int  // blocks that were answered, but not covered when the connection was lost

	mu       sync.Mutex
	answered []store.Code
	covered  []store.Code
}

const (
	pushersAtATime = 8
	blocksAFlush   = 16

	coveringsBeforeEnd = 12 // at most: flushes, or adds that are durable
)

// pushUntil pushes until the connection is lost, which end brings about at random, once
// something has been covered. It returns what was covered.
func (p *pusher) pushUntil(t *testing.T, c *store.Client, end func()) []store.Code {
	t.Helper()
	p.answered, p.covered = nil, nil
	begun := make(chan struct{})
	var once sync.Once
	var left atomic.Int64
	left.Store(1 + rand.Int64N(coveringsBeforeEnd))
	var pushing sync.WaitGroup
	for i := range pushersAtATime {
		random := rand.New(rand.NewPCG(rand.Uint64(), uint64(i)))
		pushing.Go(func() {
			err := p.push(t.Context(), c, random, func() {
				if left.Add(-1) <= 0 {
					once.Do(func() { close(begun) })
				}
			})
			// Any end will do, but that the store refuses what it is asked.
			if failed := (*stream.Error)(nil); !errors.As(err, &failed) || failed.Outcome == stream.OutcomeRejected {
				t.Errorf("push: %v", err)
			}
			once.Do(func() { close(begun) })
		})
	}
	<-begun
	end()
	pushing.Wait()
	p.underWay += len(p.answered) - len(p.covered)
	return p.covered
}

// push adds blocks of 1 to 64 KiB, and flushes, until there is an error.
func (p *pusher) push(ctx context.Context, c *store.Client, random *rand.Rand, covering func()) error {
	for n := 1; ; n++ {
		block := make([]byte, 1+random.IntN(64<<10))
		for i := 0; i+8 <= len(block); i += 8 {
			copy(block[i:], fmt.Appendf(nil, "%08x", random.Uint32()))
		}
		code, err := c.Add(ctx, block)
		if err != nil {
			return err
		}
		p.mu.Lock()
		p.answered = append(p.answered, code)
		before := len(p.answered)
		if p.always {
			p.covered = append(p.covered, code)
		}
		p.mu.Unlock()
		switch {
		case p.always:
			covering()
		case n%blocksAFlush == 0:
			if err := c.Flush(ctx); err != nil {
				return err
			}
			p.mu.Lock()
			if before > len(p.covered) {
				p.covered = p.answered[:before:before]
			}
			p.mu.Unlock()
			covering()
		}
	}
}

// there checks that a store has blocks, intact: the client compares their hashes.
func there(t *testing.T, c *store.Client, codes []store.Code) {
	t.Helper()
	work := make(chan store.Code)
	var asking sync.WaitGroup
	var mu sync.Mutex
	var wrong []string
	for range 16 {
		asking.Go(func() {
			for code := range work {
				if _, err := c.Get(t.Context(), code); err != nil {
					mu.Lock()
					wrong = append(wrong, err.Error())
					mu.Unlock()
				}
			}
		})
	}
	for _, code := range codes {
		work <- code
	}
	close(work)
	asking.Wait()
	if len(wrong) > 0 {
		t.Fatalf("%d of %d blocks are not there: %s", len(wrong), len(codes), strings.Join(wrong[:min(3, len(wrong))], "\n"))
	}
}
