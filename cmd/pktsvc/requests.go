package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pktsvc/pktsvc/pkg/flight"
)

func newRequestsCommand() *cobra.Command {
	var admin admin
	var inFlight, notable, recent, asJSON bool
	var limit int
	cmd := &cobra.Command{
		Use:   "requests [--in-flight | --notable | --recent] [NAME=VALUE…]",
		Short: "List requests of a running server: in flight, and what it remembers",
		Long: `List requests of a running server: those in flight, the oldest first, and then those
that it remembers, the latest first. Without a flag these are all that are in flight,
notable or recent.

` + matchForms,
		Example: `  pktsvc requests --in-flight
  pktsvc requests --notable type=Sleep slower_than=1s
  pktsvc requests conn=tcp-9 tag=4711 --json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := matchQuery(args)
			if err != nil {
				return err
			}
			q.Set("state", "all")
			for state, on := range map[string]bool{"in_flight": inFlight, "notable": notable, "recent": recent} {
				if on {
					q.Set("state", state)
				}
			}
			q.Set("limit", strconv.Itoa(limit))
			admin.fromEnvironment(cmd, "PKTSVC_ADMIN")
			list, err := admin.requests(cmd, q)
			if err != nil {
				return err
			}
			if asJSON {
				return writeLines(cmd.OutOrStdout(), list)
			}
			return flight.WriteTable(cmd.OutOrStdout(), list)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&inFlight, "in-flight", false, "only those that have no answer yet")
	flags.BoolVar(&notable, "notable", false, "only those that were slow, failed, or matched a rule")
	flags.BoolVar(&recent, "recent", false, "only the last ones, notable or not")
	flags.BoolVar(&asJSON, "json", false, "one JSON object a line")
	flags.IntVar(&limit, "limit", 100, "list no more than so many")
	cmd.MarkFlagsMutuallyExclusive("in-flight", "notable", "recent")
	admin.flags(flags)
	return cmd
}

func newShowCommand() *cobra.Command {
	var admin admin
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show CONN/TAG",
		Short: "Show where the time of one request went",
		Long: `Show one request of a running server, in flight or remembered, with its stages: where
the time went. CONN is the connection's name, as requests lists it; for a channel other
than 0 it is CONN/CHANNEL/TAG.

Exit codes: 0 shown, 1 it is not known (any more), 2 wrong usage, 3 no answer.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := requestQuery(args[0])
			if err != nil {
				return exitError{exitUsage, err}
			}
			admin.fromEnvironment(cmd, "PKTSVC_ADMIN")
			list, err := admin.requests(cmd, q)
			if err != nil {
				return err
			}
			if len(list) == 0 {
				return fmt.Errorf("no request %s is in flight or remembered", args[0])
			}
			if asJSON {
				return writeLines(cmd.OutOrStdout(), list)
			}
			for i := range list {
				if i > 0 {
					fmt.Fprintln(cmd.OutOrStdout())
				}
				if err := list[i].WriteWaterfall(cmd.OutOrStdout()); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	admin.flags(cmd.Flags())
	return cmd
}

// requestQuery reads CONN/TAG or CONN/CHANNEL/TAG. A name may have slashes.
func requestQuery(name string) (url.Values, error) {
	conn, tag, ok := cutLast(name)
	if _, err := strconv.ParseUint(tag, 10, 64); !ok || err != nil || conn == "" {
		return nil, errors.New(strconv.Quote(name) + ": want CONN/TAG, such as tcp-9/4711")
	}
	q := url.Values{"conn": {conn}, "tag": {tag}, "channel": {"0"}, "state": {"all"}}
	if before, channel, ok := cutLast(conn); ok {
		if _, err := strconv.ParseUint(channel, 10, 64); err == nil && before != "" {
			q.Set("conn", before)
			q.Set("channel", channel)
		}
	}
	return q, nil
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

func (a *admin) requests(cmd *cobra.Command, q url.Values) ([]flight.Request, error) {
	var answer struct{ Requests []flight.Request }
	err := a.ask(cmd.Context(), http.MethodGet, "/requestz", q, &answer)
	return answer.Requests, err
}

// writeLines writes a JSON object a line.
func writeLines[T any](w io.Writer, list []T) error {
	enc := json.NewEncoder(w)
	for i := range list {
		if err := enc.Encode(&list[i]); err != nil {
			return err
		}
	}
	return nil
}
