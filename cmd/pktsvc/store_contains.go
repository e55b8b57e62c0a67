package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/tree"
)

func newStoreContainsCommand() *cobra.Command {
	var target storeTarget
	var indirect, asJSON bool
	cmd := &cobra.Command{
		Use:   "contains --addr ADDRESS REF|CODE...",
		Short: "Say whether all blocks of something are there",
		Long: `Look whether files and directories are in a store with all their blocks, or single
blocks, and print those that are not.

With --json there is one object: all (true or false), missing (what is not there).

Exit codes: 0 all are there, 1 not all; 2 wrong usage, 3 no connection or connection
lost, 4 no answer within --timeout.`,
		Example:           `  pktsvc store contains --addr tcp://127.0.0.1:7450 dir:blake3:HEX@300 blake3:HEX`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, arg := range args {
				if _, _, err := parseStored(arg); err != nil {
					return err
				}
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			in, err := target.open(ctx)
			if err != nil {
				return err
			}
			defer in.close()
			missing := []string{}
			for _, arg := range args {
				ref, code, err := parseStored(arg)
				if err != nil {
					return err
				}
				there := true
				switch {
				case ref != nil:
					err = tree.Check(ctx, in, ref.Dirent(), tree.Options{})
				case indirect:
					there, err = in.ContainsIndirect(ctx, code)
				default:
					there, err = in.Contains(ctx, code)
				}
				if errors.Is(err, store.ErrMissing) {
					there, err = false, nil
				}
				if err != nil {
					return storeError(ctx, err)
				}
				if !there {
					missing = append(missing, arg)
				}
			}
			if err := printMissing(cmd, asJSON, missing); err != nil || len(missing) == 0 {
				return err
			}
			return exitError{exitFailed, fmt.Errorf("%d of %d are not there, or not all of them", len(missing), len(args))}
		},
	}
	flags := target.flags(cmd)
	flags.BoolVar(&indirect, "indirect", false, "a CODE is that of a list of references: look for all that they refer to")
	flags.BoolVar(&asJSON, "json", false, "one JSON object")
	return cmd
}

func printMissing(cmd *cobra.Command, asJSON bool, missing []string) error {
	if asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(struct {
			All     bool     `json:"all"`
			Missing []string `json:"missing"`
		}{len(missing) == 0, missing})
	}
	for _, m := range missing {
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), m); err != nil {
			return err
		}
	}
	return nil
}
