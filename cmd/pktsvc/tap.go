package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/pktsvc/pktsvc/pkg/flight"
)

// maxTapLine bounds a line of a tap, in bytes.
const maxTapLine = 1 << 20

func newTapCommand() *cobra.Command {
	var admin admin
	var rate, count int
	var asJSON bool
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "tap [NAME=VALUE…]",
		Short: "Watch requests of a running server as they end",
		Long: `Watch requests of a running server as they end, until interrupted. More than --rate in
a second are left out, and counted.

` + matchForms,
		Example: `  pktsvc tap outcome=failed
  pktsvc tap conn=tcp-9 tag=4711 --count 1`,
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := matchQuery(args)
			if err != nil {
				return err
			}
			q.Set("rate", strconv.Itoa(rate))
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			if wait > 0 {
				timed, cancel := context.WithTimeout(ctx, wait)
				defer cancel()
				ctx = timed
			}
			admin.fromEnvironment(cmd, "PKTSVC_ADMIN")
			resp, err := admin.open(ctx, http.MethodGet, "/tap", q)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if err := refused(resp); err != nil {
				return err
			}
			t := tapOutput{out: cmd.OutOrStdout(), notes: cmd.ErrOrStderr(), json: asJSON, left: count}
			err = t.copy(resp.Body)
			if ctx.Err() != nil {
				return nil // that is how it ends
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&rate, "rate", 100, "show no more than so many in a second")
	flags.IntVar(&count, "count", 0, "end after so many; 0: go on")
	flags.DurationVar(&wait, "for", 0, "end after this time; 0: go on")
	flags.BoolVar(&asJSON, "json", false, `one JSON object a line; {"dropped":N} tells how many were left out`)
	admin.flags(flags)
	return cmd
}

// tapOutput shows what a tap sends.
type tapOutput struct {
	out, notes io.Writer
	json       bool
	left       int // to be shown; 0: without limit
}

// copy reads lines until the server ends, or enough are shown.
func (t *tapOutput) copy(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxTapLine)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var line struct {
			flight.Request
			Dropped uint64 `json:"dropped"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return exitError{exitNoAnswer, fmt.Errorf("what came is not a tap of pktsvc: %w", err)}
		}
		if err := t.show(lines.Bytes(), &line.Request, line.Dropped); err != nil {
			return err
		}
		if line.Dropped > 0 {
			continue
		}
		if t.left--; t.left == 0 {
			return nil
		}
	}
	if err := lines.Err(); err != nil {
		return exitError{exitNoAnswer, err}
	}
	return exitError{exitNoAnswer, errors.New("the server has ended")}
}

func (t *tapOutput) show(line []byte, q *flight.Request, dropped uint64) (err error) {
	switch {
	case t.json:
		_, err = fmt.Fprintf(t.out, "%s\n", line)
	case dropped > 0:
		_, err = fmt.Fprintf(t.notes, "… %d more were left out (see --rate)\n", dropped)
	default:
		_, err = fmt.Fprintln(t.out, q.Line())
	}
	return err
}
