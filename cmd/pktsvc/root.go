package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/pktsvc/pktsvc/pkg/logging"
	"github.com/pktsvc/pktsvc/pkg/server"
)

// run is the program: it does what args say and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil {
		out := logging.NewOutput(stderr, 0) // nobody need read it for the program to end
		fmt.Fprintf(out, "%s: %v\n", cmd.CommandPath(), err)
		if coded := (exitError{}); !errors.As(err, &coded) {
			fmt.Fprintf(out, "See '%s --help'.\n", cmd.CommandPath())
		}
		_ = out.Sync()
	}
	return exitCode(err)
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "pktsvc",
		Short: "Run a packet service, and talk to one",
		Long: `pktsvc runs a service over the packet stream protocol of Python's
cs.packetstream, and has the tools to ask, load and look into one.`,
		Version:       server.ReadBuild().Version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(
		newServeCommand(),
		newCallCommand(),
		newBenchCommand(),
		newDecodeCommand(),
		newEncodeCommand(),
		newRequestsCommand(),
		newShowCommand(),
		newTapCommand(),
		newTopCommand(),
		newStoreCommand(),
		newTraceCommand(),
		newHealthcheckCommand(),
		newVersionCommand(),
	)
	codedErrors(root)
	return root
}
