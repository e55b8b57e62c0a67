// Command engines measures storage engines side by side as backends of the hash
// store: the same blocks, the same promise that Sync makes what was put durable.
// Each run has a process and a directory of its own, and engines take turns.
//
//	engines -out results.jsonl                     all engines, all sizes
//	engines -report results.jsonl -into STORE.md   the table of such results, into a document
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// options of a run.
type options struct {
	dir    string        // for the engines' directories
	volume int           // bytes of blocks that are put at first
	phase  time.Duration // of every other phase
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "engines:", err)
		os.Exit(1)
	}
}

func run() error {
	var o options
	flag.StringVar(&o.dir, "dir", os.TempDir(), "where the engines' directories are made")
	flag.IntVar(&o.volume, "volume", 384<<20, "bytes of blocks that are put in each run")
	flag.DurationVar(&o.phase, "phase", time.Second, "duration of each phase but the first")
	names := flag.String("engines", "pebble,bbolt,badger", "comma-separated engines, the first of which is the base")
	sizes := flag.String("sizes", "4096,65536,1048576", "comma-separated sizes of blocks in bytes")
	rounds := flag.Int("rounds", 2, "rounds in which all take turns")
	out := flag.String("out", "", "file for the results, as lines of JSON")
	one := flag.Bool("one", false, "measure the first engine on the first size in this process")
	report := flag.String("report", "", "file of results to make a table of")
	into := flag.String("into", "", "document for the table")
	flag.Parse()

	if *report != "" {
		return writeReport(*report, *into)
	}
	m := matrix{options: o, engines: strings.Split(*names, ","), rounds: *rounds}
	for _, text := range strings.Split(*sizes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 8 || n > poolSize/2 {
			return fmt.Errorf("size %q: want a number of bytes from 8 to %d", text, poolSize/2)
		}
		m.sizes = append(m.sizes, n)
	}
	if *one {
		r, err := measure(m.engines[0], m.sizes[0], o)
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	if *out == "" {
		return m.measure(os.Stdout)
	}
	f, err := os.Create(*out)
	if err != nil {
		return err
	}
	return errors.Join(m.measure(f), f.Close())
}

// matrix measures every engine on every size, in turns.
type matrix struct {
	options options
	engines []string
	sizes   []int
	rounds  int
}

func (m matrix) measure(w io.Writer) error {
	for round := range m.rounds {
		for _, size := range m.sizes {
			for i := range m.engines {
				r, err := m.one(m.engines[(i+round)%len(m.engines)], size)
				if err != nil {
					return err
				}
				r.Round = round
				if err := json.NewEncoder(w).Encode(r); err != nil {
					return err
				}
				fmt.Fprintf(os.Stderr, "%-8s %8d B: %6.0f MB/s put, %7.0f puts/s synced, %7.0f by 64, %8.0f gets/s\n",
					r.Engine, r.Size, r.PutMBs, r.Synced1, r.Synced64, r.Gets)
			}
		}
	}
	return nil
}

// one measures in a process of its own, whose memory and bytes written are the engine's.
func (m matrix) one(engine string, size int) (r result, err error) {
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	cmd := exec.Command(self, "-one", "-engines", engine, "-sizes", strconv.Itoa(size), "-dir", m.options.dir,
		"-volume", strconv.Itoa(m.options.volume), "-phase", m.options.phase.String())
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("%s on %d bytes: %w", engine, size, err)
	}
	return r, json.Unmarshal(text, &r)
}
