package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// openInput opens a file, or standard input for "-" or nothing.
func openInput(cmd *cobra.Command, name string) (io.ReadCloser, error) {
	if name == "" || name == "-" {
		return io.NopCloser(cmd.InOrStdin()), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, exitError{exitUsage, err}
	}
	return f, nil
}

// firstOr returns the first argument, if there is one.
func firstOr(args []string, otherwise string) string {
	if len(args) > 0 {
		return args[0]
	}
	return otherwise
}

// packetLimit adds --max-packet to a command.
func packetLimit(flags *pflag.FlagSet) *packetSize {
	size := packetSize(stream.DefaultMaxPacket)
	flags.Var(&size, "max-packet", "longest packet in bytes, without its length field")
	return &size
}

// packetSize is a flag: a number of bytes that memory can hold.
type packetSize int

// A packet of a gigabyte, and its text in memory, is more than tools can do well.
const maxPacketSize = 1 << 30

func (p *packetSize) String() string { return fmt.Sprint(int(*p)) }
func (*packetSize) Type() string     { return "bytes" }

func (p *packetSize) Set(s string) error {
	var n int
	if _, err := fmt.Sscanf(s, "%d", &n); err != nil || fmt.Sprint(n) != s || n < 1 || n > maxPacketSize {
		return fmt.Errorf("want a number from 1 to %d", maxPacketSize)
	}
	*p = packetSize(n)
	return nil
}
