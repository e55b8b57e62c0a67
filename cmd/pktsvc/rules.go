package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pktsvc/pktsvc/pkg/flight"
)

func newTraceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trace",
		Short: "Have a running server follow some requests: rules, for a limited time",
		Long: `Rules make requests of a running server notable that match them: these are remembered,
get a span with their true times, and are logged if a rule says so. A rule ends by itself,
after a time or a number of requests, and costs nothing any more then.`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(newTraceAddCommand(), newTraceListCommand(), newTraceRemoveCommand())
	return cmd
}

// rule is one as the admin server shows it.
type rule struct {
	ID    uint64    `json:"id"`
	Match string    `json:"match"`
	Every uint64    `json:"every"`
	Log   bool      `json:"log"`
	Span  bool      `json:"span"`
	Bytes int       `json:"payload"`
	Until time.Time `json:"until"`
	Count uint64    `json:"count"`
	Taken uint64    `json:"taken"`
}

func newTraceAddCommand() *cobra.Command {
	var admin admin
	var every, count, payload int
	var span, log, asJSON bool
	var during time.Duration
	cmd := &cobra.Command{
		Use:   "add [NAME=VALUE…]",
		Short: "Add a rule",
		Long:  "Add a rule.\n\n" + matchForms,
		Example: `  pktsvc trace add peer=10.1.2.3 type=Sleep slower_than=1s --for 1h
  pktsvc trace add conn=tcp-9 tag=4711 --log --count 1
  pktsvc trace add --every 1000`,
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := matchQuery(args)
			if err != nil {
				return err
			}
			q.Set("every", strconv.Itoa(every))
			q.Set("count", strconv.Itoa(count))
			if payload > 0 {
				q.Set("payload", strconv.Itoa(payload))
			}
			q.Set("for", during.String())
			q.Set("log", strconv.FormatBool(log))
			q.Set("span", strconv.FormatBool(span))
			admin.fromEnvironment(cmd, "PKTSVC_ADMIN")
			var added rule
			if err := admin.ask(cmd.Context(), http.MethodPost, "/tracez", q, &added); err != nil {
				return err
			}
			if asJSON {
				return writeLines(cmd.OutOrStdout(), []rule{added})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "rule %d, until %s or %d requests\n", added.ID, added.Until.Local().Format("15:04:05"), added.Count)
			return err
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&every, "every", 1, "take only each so manieth that matches")
	flags.IntVar(&count, "count", flight.DefaultRuleCount, "end after so many requests")
	flags.DurationVar(&during, "for", flight.DefaultRuleTime, "end after this time")
	flags.BoolVar(&span, "span", true, "export a span of each")
	flags.BoolVar(&log, "log", false, "log each")
	flags.IntVar(&payload, "payload", 0, "show so many bytes of each payload: only how long it is, unless the server has recorder.payloads set")
	flags.BoolVar(&asJSON, "json", false, "one JSON object a line")
	admin.flags(flags)
	return cmd
}

func newTraceListCommand() *cobra.Command {
	var admin admin
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the rules in force",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			admin.fromEnvironment(cmd, "PKTSVC_ADMIN")
			var answer struct{ Rules []rule }
			if err := admin.ask(cmd.Context(), http.MethodGet, "/tracez", nil, &answer); err != nil {
				return err
			}
			if asJSON {
				return writeLines(cmd.OutOrStdout(), answer.Rules)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "RULE\tUNTIL\tTAKEN\tEVERY\tDOES\tMATCHES")
			for _, r := range answer.Rules {
				does, match := "record", r.Match
				if r.Span {
					does += ",span"
				}
				if r.Log {
					does += ",log"
				}
				if r.Bytes > 0 {
					does += ",payload"
				}
				if match == "" {
					match = "all"
				}
				fmt.Fprintf(w, "%d\t%s\t%d of %d\t%d\t%s\t%s\n", r.ID, r.Until.Local().Format("15:04:05"), r.Taken, r.Count, r.Every, does, match)
			}
			return w.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	admin.flags(cmd.Flags())
	return cmd
}

func newTraceRemoveCommand() *cobra.Command {
	var admin admin
	cmd := &cobra.Command{
		Use:     "rm RULE",
		Aliases: []string{"remove"},
		Short:   "Remove a rule",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			admin.fromEnvironment(cmd, "PKTSVC_ADMIN")
			var removed rule
			if err := admin.ask(cmd.Context(), http.MethodDelete, "/tracez", url.Values{"id": {args[0]}}, &removed); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "rule %d removed, it has taken %d requests\n", removed.ID, removed.Taken)
			return err
		},
	}
	admin.flags(cmd.Flags())
	return cmd
}
