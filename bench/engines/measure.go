package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// syncEvery is how many bytes are put between two syncs at first.
const syncEvery = 64 << 20

// result of one run.
type result struct {
	Engine string
	Size   int // bytes of a block
	Round  int

	Puts, PutMBs float64 // a second, with a Sync now and then
	PutCPU       float64 // seconds of CPU for each GB put
	Written      float64 // bytes given to the disk for each byte put, with Close
	Space        float64 // bytes on the disk for each byte put, after Close
	OpenMs       float64
	Gets         float64 // a second, of random blocks, by 4 callers
	Synced1      float64 // puts a second, each synced before the next
	Synced64     float64 // the same by 64 callers, whose syncs are shared
	PeakMiB      float64 // resident, without the pool of the blocks
}

func measure(name string, size int, o options) (r result, err error) {
	dir, err := os.MkdirTemp(o.dir, "engines")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	m := measuring{blocks: newBlocks(size), dir: dir, options: o}
	m.result.Engine, m.result.Size = name, size
	for _, phase := range []func() error{m.put, m.get, m.synced} {
		if err := phase(); err != nil {
			return r, fmt.Errorf("%s, %d bytes: %w", name, size, err)
		}
	}
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	m.result.PeakMiB = float64(usage.Maxrss)/1024 - poolSize>>20
	return m.result, nil
}

type measuring struct {
	result  result
	blocks  blocks
	dir     string
	options options
	put0    int // blocks of the first phase
}

// put fills a new directory.
func (m *measuring) put() error {
	ctx := context.Background()
	before, cpu := written(), cpuSeconds()
	e, err := openEngine(m.result.Engine, m.dir)
	if err != nil {
		return err
	}
	start, unsynced := time.Now(), 0
	m.put0 = m.options.volume / m.blocks.size
	for n := range m.put0 {
		if _, err := e.Put(ctx, m.blocks.code(n), m.blocks.data(n)); err != nil {
			return err
		}
		if unsynced += m.blocks.size; unsynced >= syncEvery {
			unsynced = 0
			if err := e.Sync(ctx); err != nil {
				return err
			}
		}
	}
	if err := e.Sync(ctx); err != nil {
		return err
	}
	took, total := time.Since(start).Seconds(), float64(m.put0*m.blocks.size)
	if err := e.Close(); err != nil {
		return err
	}
	m.result.Puts, m.result.PutMBs = float64(m.put0)/took, total/1e6/took
	m.result.PutCPU = (cpuSeconds() - cpu) / (total / 1e9)
	m.result.Written = (written() - before) / total
	m.result.Space = size(m.dir) / total
	return nil
}

// get reads what put has left. It is in the system's memory.
func (m *measuring) get() error {
	start := time.Now()
	e, err := openEngine(m.result.Engine, m.dir)
	if err != nil {
		return err
	}
	m.result.OpenMs = time.Since(start).Seconds() * 1e3
	m.result.Gets, err = m.together(4, func(int) error {
		n := rand.IntN(m.put0)
		data, err := e.Get(context.Background(), m.blocks.code(n))
		if err == nil && !bytes.Equal(data, m.blocks.data(n)) {
			err = fmt.Errorf("block %d has other bytes", n)
		}
		return err
	})
	return errors.Join(err, e.Close())
}

// synced puts blocks that are durable before the next.
func (m *measuring) synced() error {
	e, err := openEngine(m.result.Engine, m.dir)
	if err != nil {
		return err
	}
	shared := commit{sync: e.Sync}
	put := func(n int) error {
		_, err := e.Put(context.Background(), m.blocks.code(m.put0+n), m.blocks.data(m.put0+n))
		return errors.Join(err, shared.flush())
	}
	m.result.Synced1, err = m.together(1, put)
	m.put0 += int(m.result.Synced1*m.options.phase.Seconds()*2) + 1
	if err == nil {
		m.result.Synced64, err = m.together(64, put)
	}
	return errors.Join(err, e.Close())
}

// together has some callers do something over and over, each time with another
// number, and returns how often a second.
func (m *measuring) together(callers int, do func(n int) error) (float64, error) {
	var next atomic.Int64
	var all sync.WaitGroup
	failed := make(chan error, callers)
	start := time.Now()
	for range callers {
		all.Go(func() {
			for time.Since(start) < m.options.phase {
				if err := do(int(next.Add(1))); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	all.Wait()
	took := time.Since(start)
	close(failed)
	return float64(next.Load()) / took.Seconds(), <-failed
}

// written is how many bytes this process has given to the disk; 0 where the system
// does not tell.
func written() float64 {
	text, _ := os.ReadFile("/proc/self/io")
	_, rest, _ := strings.Cut(string(text), "\nwrite_bytes: ")
	number, _, _ := strings.Cut(rest, "\n")
	n, _ := strconv.ParseFloat(number, 64)
	return n
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

// size is what the files of a directory take on the disk.
func size(dir string) (bytes float64) {
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			bytes += float64(stat.Blocks) * 512
		}
		return nil
	})
	return bytes
}
