package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/tree"
)

func newStoreGetCommand() *cobra.Command {
	var target storeTarget
	var output string
	var sync, asJSON bool
	cmd := &cobra.Command{
		Use:   "get --addr ADDRESS REF",
		Short: "Get a file, a directory or a block out",
		Long: `Get a file, a directory or a single block out of a store: a directory into -o DIR,
the others to standard output or into -o FILE. Each block is checked against its hash
before it is written.

With -o a file gets its name when it is complete. What is there already is compared
first, and only what differs is fetched: a get that was cut off goes on where it was,
and an older copy is brought up to date. Other files in DIR stay.

With --json, which needs -o, there is one object: ref, seconds, files, directories,
links, bytes, blocks_moved and bytes_moved (fetched), blocks_there and bytes_there.

Exit codes: 0 all is there, 1 missing, malformed or in the way; 2 wrong usage, 3 no
connection or connection lost, 4 no answer within --timeout.`,
		Example: `  pktsvc store get --addr tcp://127.0.0.1:7450 file:blake3:HEX@5 > file
  pktsvc store get --addr tcp://127.0.0.1:7450 dir:blake3:HEX@300 -o restored`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, code, err := parseStored(args[0])
			if err != nil {
				return err
			}
			stdout := output == "" || output == "-"
			switch {
			case stdout && ref != nil && ref.Directory:
				return exitError{exitUsage, fmt.Errorf("a directory does not go to standard output: give -o DIR")}
			case stdout && asJSON:
				return exitError{exitUsage, fmt.Errorf("--json needs -o: what is got goes to standard output")}
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			from, err := target.open(ctx)
			if err != nil {
				return err
			}
			defer from.close()
			t := newTransfer(cmd, asJSON)
			if ref != nil {
				t.writes(*ref)
			}
			options := t.options(from)
			options.Durable = sync
			err = t.watch(ctx, func() error {
				switch {
				case ref == nil:
					block, err := from.Get(ctx, code)
					if err != nil {
						return err
					}
					if stdout {
						_, err = cmd.OutOrStdout().Write(block)
						return err
					}
					file := tree.Reference{Ref: store.Ref{Code: code, Span: uint64(len(block))}}
					return tree.Get(ctx, gotten{from, block}, file.Dirent(), output, options)
				case stdout:
					return tree.Copy(ctx, from, ref.Dirent(), cmd.OutOrStdout(), options)
				}
				return tree.Get(ctx, from, ref.Dirent(), output, options)
			})
			if err != nil || stdout {
				return err
			}
			return t.end(struct {
				Ref string `json:"ref"`
				transferReport
			}{args[0], t.report()})
		},
	}
	flags := target.flags(cmd)
	flags.StringVarP(&output, "output", "o", "", "where to: a directory, a file, or - for standard output (the default, but for directories)")
	flags.BoolVar(&sync, "sync", false, "write each file through to the disk before it gets its name")
	flags.BoolVar(&asJSON, "json", false, "one JSON object")
	return cmd
}

// gotten is a store from which the one block that is wanted has come already.
type gotten struct {
	*storeConn
	block []byte
}

func (g gotten) Get(context.Context, store.Code) ([]byte, error) { return g.block, nil }
