package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// verifiedAtOnce is how many blocks are read at a time.
const verifiedAtOnce = 16

// verification is what verify has seen so far.
type verification struct {
	bar *progressbar.ProgressBar // nil: nothing is shown

	mu      sync.Mutex
	Blocks  uint64   `json:"blocks"`
	Bytes   uint64   `json:"bytes"`
	Damaged []string `json:"damaged"`  // hash codes
	LeftOut uint64   `json:"left_out"` // that the store lists no more
}

func newStoreVerifyCommand() *cobra.Command {
	var target storeTarget
	var start string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify --addr ADDRESS",
		Short: "Read all blocks, and name those that are damaged",
		Long: `Read every block of a store, check that it has the hash that it should have, and
print the hash codes of those that cannot be read or do not. From then on the store
says that it does not have them: add or push what they belong to once more, or push
another store that has them, and the blocks that come take their place. Until then
they are in no list, and only their number is told here.

It moves all bytes of the store. With --start it goes on from a hash code.

With --json there is one object: blocks and bytes that were read, damaged (hash codes),
left_out (how many had been found damaged before).

Exit codes: 0 all are right, 1 not all; 2 wrong usage, 3 no connection or connection
lost, 4 no answer within --timeout.`,
		Example:           `  pktsvc store verify --addr tcp://127.0.0.1:7450`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			first := store.Code{}
			if start != "" {
				var err error
				if first, err = store.ParseCode(start); err != nil {
					return exitError{exitUsage, err}
				}
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			in, err := target.open(ctx)
			if err != nil {
				return err
			}
			defer in.close()
			length, err := in.Length(ctx)
			if err != nil {
				return storeError(ctx, err)
			}
			v := &verification{Damaged: []string{}}
			err = v.watch(cmd.ErrOrStderr(), length, func() error { return v.run(ctx, in, first) })
			if err == nil && first.IsZero() && v.Blocks < length { // nothing is ever taken out, so they are there
				v.LeftOut = length - v.Blocks
			}
			return errors.Join(v.print(cmd.OutOrStdout(), asJSON), storeError(ctx, err))
		},
	}
	flags := target.flags(cmd)
	flags.StringVar(&start, "start", "", "hash code to begin with, whether it is there or not")
	flags.BoolVar(&asJSON, "json", false, "one JSON object")
	return cmd
}

// watch runs f, and shows on a terminal how far it is.
func (v *verification) watch(w io.Writer, length uint64, f func() error) error {
	if !isTerminal(w) {
		return f()
	}
	v.bar = progressbar.NewOptions64(max(1, int64(min(length, 1<<62))), //nolint:gosec // it was compared
		progressbar.OptionSetWriter(w), progressbar.OptionSetWidth(24), progressbar.OptionShowCount(),
		progressbar.OptionShowIts(), progressbar.OptionSetItsString("blocks"), progressbar.OptionClearOnFinish())
	err := f()
	_ = v.bar.Finish() // a terminal that has gone away is no reason to stop
	return err
}

// run reads all blocks from a hash code on.
func (v *verification) run(ctx context.Context, in *storeConn, start store.Code) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(verifiedAtOnce)
	for code, err := range in.Codes(ctx, start) {
		if err != nil {
			group.Go(func() error { return err }) // after which nothing comes
			break
		}
		group.Go(func() error {
			block, err := in.Get(ctx, code)
			if err != nil && !isDamage(err) {
				return err
			}
			v.saw(code, len(block), err != nil)
			return nil
		})
	}
	return group.Wait()
}

// isDamage reports whether an error of Get says that the block is not what it should be.
// What else goes wrong says nothing of it.
func isDamage(err error) bool {
	return errors.Is(err, stream.ErrRejected) || errors.Is(err, store.ErrAnswer) || errors.Is(err, store.ErrMissing)
}

func (v *verification) saw(code store.Code, size int, damaged bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.Blocks++
	v.Bytes += uint64(size) //nolint:gosec // a length
	if damaged {
		v.Damaged = append(v.Damaged, code.String())
	}
	if v.bar != nil {
		_ = v.bar.Add(1)
	}
}

// print says what was seen, also of what was cut off. Damage is an error.
func (v *verification) print(w io.Writer, asJSON bool) error {
	slices.Sort(v.Damaged)
	var err error
	if asJSON {
		err = json.NewEncoder(w).Encode(v)
	} else {
		for _, code := range v.Damaged {
			_, failed := fmt.Fprintln(w, code)
			err = cmp.Or(err, failed)
		}
	}
	if n := len(v.Damaged); n > 0 {
		err = errors.Join(err, fmt.Errorf("%d of %d blocks are damaged: add what they belong to again", n, v.Blocks))
	}
	if v.LeftOut > 0 {
		err = errors.Join(err, fmt.Errorf("%d blocks more were found damaged before, and not added again since", v.LeftOut))
	}
	return err
}
