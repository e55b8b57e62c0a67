package main

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/tree"
)

// stored is one argument of add, and what it became.
type stored struct {
	Path string         `json:"path"`
	Ref  tree.Reference `json:"ref"`
}

func newStoreAddCommand() *cobra.Command {
	var target storeTarget
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "add --addr ADDRESS FILE|DIR|-...",
		Short: "Store files and directories and print their references",
		Long: `Store files and directories, or standard input for -, and print a reference for
each, in the same order. When it is printed everything is stored durably. At the first
that cannot be stored it ends: those before it have their references. Symbolic links in
directories are stored as links. What cannot be stored is named on standard
error: special files, and what cannot be read.

With --json there is one object instead: stored (path and ref of each), seconds,
files, directories, links, bytes, blocks_moved and bytes_moved (that were missing),
blocks_there and bytes_there, left_out (path and reason) and left_out_count.

Exit codes: 0 all is stored but for special files, 1 refused, or not complete; 2
wrong usage, 3 no connection or connection lost, 4 no answer within --timeout.`,
		Example: `  pktsvc store add --addr tcp://127.0.0.1:7450 picture.png
  tar c . | pktsvc store add --addr tcp://127.0.0.1:7450 -`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			to, err := target.open(ctx)
			if err != nil {
				return err
			}
			defer to.close()
			t := newTransfer(cmd, asJSON)
			if !slices.Contains(args, "-") {
				t.sources = args
			}
			var all []stored
			var lines []string
			err = t.watch(ctx, func() error {
				for _, path := range args {
					var root store.Dirent
					var err error
					if path == "-" {
						root, err = tree.PutReader(ctx, to, cmd.InOrStdin(), t.options(to))
					} else {
						root, err = tree.Put(ctx, to, path, t.options(to))
					}
					if err != nil {
						return err
					}
					ref, err := tree.ReferenceTo(root)
					if err != nil {
						return err
					}
					all = append(all, stored{path, ref})
					lines = append(lines, ref.String())
				}
				return nil
			})
			if err != nil && len(all) == 0 {
				return err
			}
			// What is stored has its reference, whatever became of what follows it.
			ended := t.end(struct {
				Stored []stored `json:"stored"`
				transferReport
			}{all, t.report()}, lines...)
			if err != nil {
				return err
			}
			return ended
		},
	}
	target.flags(cmd).BoolVar(&asJSON, "json", false, "one JSON object")
	return cmd
}
