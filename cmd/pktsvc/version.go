package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pktsvc/pktsvc/pkg/server"
)

func newVersionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Say which build this is",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := server.ReadBuild()
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(b)
			}
			line := fmt.Sprintf("pktsvc %s, %s", b.Version, b.Go)
			if b.Revision != "" {
				line += ", revision " + b.Revision
			}
			if b.Time != "" {
				line += " of " + b.Time
			}
			if b.Modified {
				line += ", with uncommitted changes"
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), line)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	return cmd
}
