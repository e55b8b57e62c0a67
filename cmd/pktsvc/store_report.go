package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/pktsvc/pktsvc/pkg/tree"
)

// maxListed is how many things that were left out are named; the others are counted.
const maxListed = 1000

// leftOut is what could not be stored, or is not what it was at any one time.
type leftOut struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

// transfer is one operation of a command, its progress and what there is to say of it.
type transfer struct {
	cmd      *cobra.Command
	json     bool
	progress tree.Progress
	sources  []string     // what there is to store
	total    atomic.Int64 // bytes of the files that there are to read or write; 0: not known (yet)
	begun    time.Time

	mu      sync.Mutex
	listed  []leftOut
	count   uint64 // of what was left out, listed or not
	serious bool   // more than special files, which no store keeps
}

func newTransfer(cmd *cobra.Command, asJSON bool) *transfer {
	return &transfer{cmd: cmd, json: asJSON, begun: time.Now()}
}

func (t *transfer) notice(path string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count++
	t.serious = t.serious || !errors.Is(err, tree.ErrSpecial)
	if len(t.listed) < maxListed {
		t.listed = append(t.listed, leftOut{path, err.Error()})
	}
}

func (t *transfer) options(to *storeConn) tree.Options {
	return tree.Options{Progress: &t.progress, Notice: t.notice, Epoch: to.epoch}
}

// watch runs f, and shows on a terminal how far it is.
func (t *transfer) watch(ctx context.Context, f func() error) error {
	w := t.cmd.ErrOrStderr()
	watched := f
	if isTerminal(w) {
		watched = func() error { return t.watchOn(ctx, w, f) }
	}
	err := storeError(ctx, watched())
	if coded := (exitError{}); errors.As(err, &coded) && coded.code == exitNoAnswer {
		return exitError{exitNoAnswer, fmt.Errorf("%w; %s", err, goesOn)}
	}
	return err
}

// transferReport is what a transfer says with --json.
type transferReport struct {
	Seconds float64 `json:"seconds"`
	tree.Counts
	LeftOut      []leftOut `json:"left_out,omitempty"`
	LeftOutCount uint64    `json:"left_out_count"`
}

func (t *transfer) report() transferReport {
	t.mu.Lock()
	defer t.mu.Unlock()
	return transferReport{time.Since(t.begun).Seconds(), t.progress.Counts(), t.listed, t.count}
}

// end says what was left out, and writes the report: v with --json, else lines.
func (t *transfer) end(v any, lines ...string) error {
	r := t.report()
	w := t.cmd.ErrOrStderr()
	for _, l := range r.LeftOut {
		fmt.Fprintf(w, "%s: %s: %s\n", t.cmd.CommandPath(), readable([]byte(l.Path)), readable([]byte(l.Reason)))
	}
	if more := r.LeftOutCount - uint64(len(r.LeftOut)); more > 0 {
		fmt.Fprintf(w, "%s: and %d more\n", t.cmd.CommandPath(), more)
	}
	out := t.cmd.OutOrStdout()
	if t.json {
		if err := json.NewEncoder(out).Encode(v); err != nil {
			return err
		}
	} else {
		for _, line := range lines {
			if _, err := fmt.Fprintln(out, line); err != nil {
				return err
			}
		}
	}
	if t.serious {
		return exitError{exitFailed, fmt.Errorf("not complete: see above")}
	}
	return nil
}
