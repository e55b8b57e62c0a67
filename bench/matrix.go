package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"time"
)

// matrixRun measures every peer on every cell, round by round and one after the
// other, so that the machine's moods fall on all of them alike.
type matrixRun struct {
	options options
	peers   []string
	cells   []cell
	rounds  int
	out     string // a file; empty: standard output
}

// runLimit is how long one run may take beyond what it measures.
const runLimit = 30 * time.Second

func (m matrixRun) run() error { return writeTo(m.out, m.measure) }

// writeTo calls f with a new file; with standard output where that has no name.
func writeTo(name string, f func(io.Writer) error) (err error) {
	if name == "" {
		return f(os.Stdout)
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return f(file)
}

func (m matrixRun) measure(w io.Writer) error {
	total, done := 0, 0
	for _, c := range m.cells {
		if c.Pinned && m.options.turns > 0 && !m.options.switched {
			return fmt.Errorf("%s: turns are not for one CPU", c)
		}
		for _, peer := range m.peers {
			if c.suits(peer) {
				total += m.rounds
			}
		}
	}
	if m.options.switched {
		total *= 2
	}
	for round := range m.rounds {
		for _, c := range m.cells {
			var peers []string
			for i := range m.peers {
				peer := m.peers[(i+round)%len(m.peers)] // another one is the first in each round
				if c.suits(peer) {
					peers = append(peers, peer)
				}
			}
			for r := range m.round(peers, c, round) {
				r.Cell = c
				if err := json.NewEncoder(w).Encode(r); err != nil {
					return err
				}
				done++
				if m.out != "" {
					fmt.Printf("%4d of %d: %-26s %-22s %10.0f calls/s %s\n", done, total, c, r.Peer, r.Ops, r.Err)
				}
			}
		}
	}
	return nil
}

// round measures each peer once. Where they are switched, a round is that of one peer.
func (m matrixRun) round(peers []string, c cell, round int) iter.Seq[Result] {
	return func(yield func(Result) bool) {
		if m.options.switched {
			for i, peer := range peers {
				for _, r := range m.switched(peer, c) {
					if r.Round = round*len(peers) + i; !yield(r) {
						return
					}
				}
			}
			return
		}
		one := func(i int) Result { return m.one(peers[i], c) }
		if m.options.turns > 0 {
			results := m.inTurns(peers, c)
			one = func(i int) Result { return results[i] }
		}
		for i, peer := range peers {
			r := one(i)
			if r.Peer, r.Round = peer, round; !yield(r) {
				return
			}
		}
	}
}

// flags are those of a process that measures one peer.
func (m matrixRun) flags(peer string, c cell) []string {
	return []string{
		"-peer", peer, "-size", fmt.Sprint(c.Size), "-callers", fmt.Sprint(c.Callers), "-conns", fmt.Sprint(c.Conns),
		"-duration", m.options.duration.String(), "-warm", m.options.warm.String(), "-turns", fmt.Sprint(m.options.turns), fmt.Sprintf("-switch=%t", m.options.switched),
	}
}

// one measures in a process of its own.
func (m matrixRun) one(peer string, c cell) Result {
	results, err := m.process(peer, c)
	if err != nil {
		return Result{Err: err.Error()}
	}
	return results[0]
}

// process returns what a process of its own has measured, at least one result.
func (m matrixRun) process(peer string, c cell) (results []Result, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	duration := m.options.duration
	if m.options.switched {
		duration *= 2
	}
	ctx, cancel := context.WithTimeout(context.Background(), m.options.warm+duration+runLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, m.flags(peer, c)...)
	out, err := output(cmd, c.Pinned)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil, errors.New(cmp.Or(string(exit.Stderr), err.Error()))
	}
	for lines := json.NewDecoder(bytes.NewReader(out)); err == nil && (lines.More() || len(results) == 0); {
		var r Result
		err = lines.Decode(&r)
		results = append(results, r)
	}
	return results, err
}
