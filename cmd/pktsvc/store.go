package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/stream"
	"github.com/pktsvc/pktsvc/pkg/tree"
)

func newStoreCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Put files and directories into a hash store, and get them out",
		Long: `Put files and directories into a store of blocks addressed by their hash, and get
them out. Only blocks that are missing travel, and each is checked when it comes; a
command that was cut off goes on where it was when it is run again.

What is stored has a reference, which is all that is needed to get it out:

  file:CLASS:HEX@SPAN   a file of SPAN bytes; file:list:… if it has several blocks
  dir:CLASS:HEX@SPAN    a directory
  CLASS:HEX             a single block

Archives give what is stored a name: push appends the reference to one, and pull
takes the last, or that of a time.

Exit codes of all of them: 0 done, 1 refused, missing or not complete, with the
reason on standard error; 2 wrong usage, 3 no connection or connection lost, 4 no
answer within --timeout.`,
	}
	cmd.AddCommand(
		newStoreAddCommand(), newStoreGetCommand(), newStoreContainsCommand(), newStoreListCommand(),
		newStorePushCommand(), newStorePullCommand(), newStoreStatsCommand(), newStoreVerifyCommand(),
	)
	return cmd
}

// interruptible returns a context that a signal ends. A second one ends the program.
func interruptible(cmd *cobra.Command) (ctx context.Context, stop func()) {
	ctx, stop = signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// goesOn is what to do about a transfer that was cut off.
const goesOn = "the same command goes on where this one was"

var errInterrupted = errors.New("interrupted; " + goesOn)

// storeError gives an error of a store the exit code that it means.
func storeError(ctx context.Context, err error) error {
	coded := exitError{}
	e, asked := errors.AsType[*stream.Error](err)
	switch {
	case err == nil || errors.As(err, &coded):
		return err
	case ctx.Err() != nil:
		return exitError{exitFailed, errInterrupted}
	case errors.Is(err, context.DeadlineExceeded):
		return exitError{exitTimeout, err}
	case asked && e.Outcome == stream.OutcomeRejected:
		return exitError{exitFailed, fmt.Errorf("%w (perhaps its hash is not that of --hash, or it has no room; its log says why)", err)}
	case asked && (e.Outcome == stream.OutcomeLost || e.Outcome == stream.OutcomeRefused), errors.Is(err, tree.ErrUnstable):
		return exitError{exitNoAnswer, err}
	}
	return exitError{exitFailed, err}
}

// parseStored reads what a command can be asked for: the reference of a file or a
// directory, or the hash code of a block, and then there is no reference.
func parseStored(text string) (ref *tree.Reference, code store.Code, err error) {
	if r, err := tree.ParseReference(text); err == nil {
		return &r, store.Code{}, nil
	}
	if code, err = store.ParseCode(text); err == nil {
		return nil, code, nil
	}
	return nil, code, exitError{exitUsage, fmt.Errorf("%.200q is neither a reference, such as file:blake3:HEX@SPAN, nor a hash code, such as blake3:HEX", text)}
}
