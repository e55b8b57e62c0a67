package main

import (
	"github.com/spf13/cobra"

	"github.com/pktsvc/pktsvc/pkg/listing"
)

func newEncodeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "encode [FILE|-]",
		Short: "Make the bytes of a stream from JSON lines",
		Long: `Make the bytes of a stream from lines such as 'pktsvc decode --json' prints, from a
file or standard input, and write them to standard output.

The keys kind and tag must be there (tag not for eof and erq), type of a request,
ok of a response. channel, flags and payload_hex may be left out for 0, 0 and
nothing. offset and size are ignored, any other key is an error.

Exit codes: 0 all is written, 1 a line is wrong: all packets before it are
written, its number and the cause are on standard error; 2 wrong usage.`,
		Example: `  pktsvc decode --json recorded.bin | pktsvc encode | cmp - recorded.bin
  echo '{"kind":"request","tag":2,"type":0,"payload_hex":"6869"}' | pktsvc encode | pktsvc decode`,
		Args: cobra.MaximumNArgs(1),
	}
	limit := packetLimit(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		in, err := openInput(cmd, firstOr(args, "-"))
		if err != nil {
			return err
		}
		defer in.Close()
		return listing.Encode(cmd.OutOrStdout(), listing.NewReader(in, int(*limit)))
	}
	return cmd
}
