// Command stores measures stores of blocks side by side in one run: this project's
// service on loopback, the backend of that in one process without a network, plain
// files, and Redis, each with the same durability.
//
//	go run ./stores -rounds 3 -into ../docs/STORE.md
//
// In each round all take turns, each with an empty store on the same disk. Blocks
// cannot be compressed and differ from each other.
package main

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// contender is a store that is measured. Its methods may be called concurrently, but
// for start and stop.
type contender interface {
	name() string
	// durabilities are those that it has.
	durabilities() []string
	start(dir, durability string) error
	add(ctx context.Context, n uint64, block []byte) error
	flush(ctx context.Context) error
	get(ctx context.Context, n uint64, block []byte) error // into block
	stop() error
}

// The durabilities.
const (
	whenFlushed  = "flush" // what was added is durable when a flush is answered
	whenAnswered = "answer"
)

// run is what is measured of one contender in one round, in MiB a second.
type result struct {
	contender, durability string
	add, get              float64
	disk                  float64 // bytes on disk for each byte
}

type settings struct {
	blocks, size, callers, flushEach, rounds int
	dir                                      string
}

func main() {
	var s settings
	flag.IntVar(&s.blocks, "blocks", 8192, "blocks that each adds in a round")
	flag.IntVar(&s.size, "size", 64<<10, "bytes of a block")
	flag.IntVar(&s.callers, "callers", 64, "requests under way at a time")
	flag.IntVar(&s.flushEach, "flush-each", 1024, "blocks for each flush")
	flag.IntVar(&s.rounds, "rounds", 3, "rounds")
	flag.StringVar(&s.dir, "dir", os.TempDir(), "where the stores are, for the time being")
	into := flag.String("into", "", "file in which the table is replaced; default: standard output")
	flag.Parse()
	if err := s.run(*into); err != nil {
		fmt.Fprintln(os.Stderr, "stores:", err)
		os.Exit(1)
	}
}

func (s settings) run(into string) error {
	work, err := os.MkdirTemp(s.dir, "stores")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	program, err := buildService(work)
	if err != nil {
		return err
	}
	contenders := []contender{&files{}, &backend{}, &service{program: program}}
	if redis := findRedis(); redis != nil {
		contenders = append(contenders, redis)
	} else {
		fmt.Fprintln(os.Stderr, "there is no redis-server, so it is left out")
	}
	var results []result
	for round := range s.rounds {
		for _, durability := range []string{whenFlushed, whenAnswered} {
			for _, i := range rand.Perm(len(contenders)) {
				c := contenders[i]
				if !slices.Contains(c.durabilities(), durability) {
					continue
				}
				r, err := s.measure(c, durability, filepath.Join(work, "data"))
				if err != nil {
					return fmt.Errorf("%s, durable when %sed: %w", c.name(), durability, err)
				}
				fmt.Fprintf(os.Stderr, "round %d: %-28s durable at the %-6s add %6.0f MiB/s, get %6.0f MiB/s\n", round+1, c.name(), durability, r.add, r.get)
				results = append(results, r)
			}
		}
	}
	return s.report(results, into)
}

func (s settings) measure(c contender, durability, dir string) (r result, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	if err := c.start(dir, durability); err != nil {
		return r, err
	}
	defer func() {
		if stopped := c.stop(); err == nil {
			err = stopped
		}
	}()
	runtime.GC()
	r = result{contender: c.name(), durability: durability}
	ctx := context.Background()
	begun := time.Now()
	err = s.each(func(n uint64, block []byte) error {
		s.fill(n, block)
		if err := c.add(ctx, n, block); err != nil {
			return err
		}
		if durability == whenFlushed && n%uint64(s.flushEach) == 0 {
			return c.flush(ctx)
		}
		return nil
	})
	if err == nil && durability == whenFlushed {
		err = c.flush(ctx)
	}
	if err != nil {
		return r, fmt.Errorf("add: %w", err)
	}
	mib := float64(s.blocks) * float64(s.size) / (1 << 20)
	r.add = mib / time.Since(begun).Seconds()

	order := rand.Perm(s.blocks)
	begun = time.Now()
	err = s.each(func(i uint64, block []byte) error {
		n := uint64(order[i])
		if err := c.get(ctx, n, block); err != nil {
			return err
		}
		if got := binary.BigEndian.Uint64(block); got != n {
			return fmt.Errorf("block %d is block %d", n, got)
		}
		return nil
	})
	if err != nil {
		return r, fmt.Errorf("get: %w", err)
	}
	r.get = mib / time.Since(begun).Seconds()
	return r, nil
}

// noise is what blocks are made of.
var noise = sync.OnceValue(func() []byte {
	b := make([]byte, 1<<20+64<<10)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
})

// fill makes block n, which begins with n.
func (s settings) fill(n uint64, block []byte) {
	from := noise()[n%(64<<10):]
	copy(block, from)
	binary.BigEndian.PutUint64(block, n)
}

// each calls do with every number of a block, by s.callers at a time.
func (s settings) each(do func(n uint64, block []byte) error) error {
	var next atomic.Uint64
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	for range s.callers {
		all.Go(func() {
			block := make([]byte, s.size)
			for failed.Load() == nil {
				n := next.Add(1) - 1
				if n >= uint64(s.blocks) {
					return
				}
				if err := do(n, block); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}
