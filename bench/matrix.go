package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"slices"
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
		if c.Pinned && m.options.turns > 0 {
			return fmt.Errorf("%s: turns are not for one CPU", c)
		}
		for _, peer := range m.peers {
			if c.suits(peer) {
				total += m.rounds
			}
		}
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
			for i, r := range m.round(peers, c) {
				r.Peer, r.Cell, r.Round = peers[i], c, round
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

// round measures each peer once.
func (m matrixRun) round(peers []string, c cell) iter.Seq2[int, Result] {
	if m.options.turns > 0 {
		return slices.All(m.inTurns(peers, c))
	}
	return func(yield func(int, Result) bool) {
		for i, peer := range peers {
			if !yield(i, m.one(peer, c)) {
				return
			}
		}
	}
}

// flags are those of a process that measures one peer.
func (m matrixRun) flags(peer string, c cell) []string {
	return []string{
		"-peer", peer, "-size", fmt.Sprint(c.Size), "-callers", fmt.Sprint(c.Callers), "-conns", fmt.Sprint(c.Conns),
		"-duration", m.options.duration.String(), "-warm", m.options.warm.String(), "-turns", fmt.Sprint(m.options.turns),
	}
}

// one measures in a process of its own.
func (m matrixRun) one(peer string, c cell) (r Result) {
	self, err := os.Executable()
	if err != nil {
		return Result{Err: err.Error()}
	}
	ctx, cancel := context.WithTimeout(context.Background(), m.options.warm+m.options.duration+runLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, m.flags(peer, c)...)
	out, err := output(cmd, c.Pinned)
	if err == nil {
		err = json.Unmarshal(out, &r)
	}
	if err != nil {
		text := err.Error()
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			text = cmp.Or(string(exit.Stderr), text)
		}
		return Result{Err: text}
	}
	return r
}
