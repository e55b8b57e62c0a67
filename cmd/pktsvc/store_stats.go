package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pktsvc/pktsvc/pkg/store"
)

func newStoreStatsCommand() *cobra.Command {
	var target storeTarget
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "stats --addr ADDRESS",
		Short: "Say how many blocks there are",
		Long: `Say how many blocks there are in a store. With --json as an object, with blocks and
hash, which is what --hash says.

Exit codes: 0 answered, 1 refused, 2 wrong usage, 3 no connection or connection lost,
4 no answer within --timeout.`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			of, err := target.open(ctx)
			if err != nil {
				return err
			}
			defer of.close()
			n, err := of.Length(ctx)
			if err == nil { // which refuses another hash
				_, err = of.HashCodes(ctx, store.Code{}, false, 1)
			}
			if err != nil {
				return storeError(ctx, err)
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(struct {
					Blocks uint64      `json:"blocks"`
					Hash   store.Class `json:"hash"`
				}{n, of.Class()})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d blocks\n", n)
			return err
		},
	}
	target.flags(cmd).BoolVar(&asJSON, "json", false, "one JSON object")
	return cmd
}
