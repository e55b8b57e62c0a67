package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// Exit codes. serve has one more, server.ExitForced.
const (
	exitOK       = 0
	exitFailed   = 1 // call: rejected; decode: malformed; bench: errors
	exitUsage    = 2
	exitNoAnswer = 3 // no connection, or it was lost
	exitTimeout  = 4
)

// exitError is an error that says which exit code it means.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string { return e.err.Error() }
func (e exitError) Unwrap() error { return e.err }

// exitCode is the exit code for what a command returned. Errors without a code
// come from the parsing of the command line, see codedErrors.
func exitCode(err error) int {
	var coded exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &coded):
		return coded.code
	}
	return exitUsage
}

// codedErrors gives errors of the commands themselves a code, so that those
// without one are errors of usage, which cobra finds before a command runs.
func codedErrors(cmd *cobra.Command) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			err := run(cmd, args)
			if coded := (exitError{}); err != nil && !errors.As(err, &coded) {
				return exitError{exitFailed, err}
			}
			return err
		}
	}
	for _, sub := range cmd.Commands() {
		codedErrors(sub)
	}
}
