package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/pktsvc/pktsvc/pkg/listing"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

func newDecodeCommand() *cobra.Command {
	var isHex, asJSON bool
	cmd := &cobra.Command{
		Use:   "decode [FILE|-]",
		Short: "List the packets in a recorded stream of bytes",
		Long: `List the packets in the bytes of one direction of a connection, from a file or
standard input. An EOF packet is listed like any other, and what follows it too.
Streams may be of any size; one packet is held at a time.

With --json there is one object for each packet, with offset, size, kind
(request, response, eof, erq, or end: a malformed request that a receiver takes
as the end), channel, tag, flags (of a response without the ok bit), type
(requests only), ok (responses only), extension (only of packets by which peers
of this kind tell each other more: hello, metadata, cancel, ping, credit, going_away,
times, or answer) and payload_hex. Numbers are exact, up to 2^64-1. 'pktsvc encode' makes the same bytes of them again.

Exit codes: 0 all is listed, 1 malformed input: all packets before it are listed,
the offset and the cause are on standard error; 2 wrong usage.`,
		Example: `  pktsvc decode recorded.bin
  printf '03010200 03000200' | pktsvc decode --hex --json`,
		Args: cobra.MaximumNArgs(1),
	}
	flags := cmd.Flags()
	flags.BoolVar(&isHex, "hex", false, "the input is hexadecimal text; whitespace is skipped")
	flags.BoolVar(&asJSON, "json", false, "one JSON object for each packet")
	limit := packetLimit(flags)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		in, err := openInput(cmd, firstOr(args, "-"))
		if err != nil {
			return err
		}
		defer in.Close()
		r := io.Reader(in)
		if isHex {
			r = listing.NewHexReader(in)
		}
		format := listing.Text
		if asJSON {
			format = listing.JSON
		}
		decoder := stream.NewDecoder(r)
		decoder.MaxPacket = int(*limit)
		return listing.Write(cmd.OutOrStdout(), decoder, format)
	}
	return cmd
}
