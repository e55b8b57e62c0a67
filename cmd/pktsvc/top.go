package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/pktsvc/pktsvc/pkg/top"
)

const (
	// leastTopInterval keeps a typing mistake from becoming load on the server.
	leastTopInterval = 10 * time.Millisecond
	// leastTopTimeout is how long an answer may take, if the interval is not longer.
	leastTopTimeout = 2 * time.Second
	// topConnections is how many connections are asked for. More than that take the
	// server longer to list than somebody who looks should cost it.
	topConnections = 10_000
	// topLatency is how far back the latencies of connections reach.
	topLatency = 5 * time.Second
)

// liveView is what the flags of top say.
type liveView struct {
	admin  admin
	every  time.Duration
	times  int // intervals; 0: without end
	limit  int
	sort   string
	order  top.Order
	asJSON bool
}

func newTopCommand() *cobra.Command {
	var v liveView
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch request types and connections of a running server live",
		Long: `Watch request types and connections of a running server live: rates, errors, latencies
(of types), bytes and what is in flight (of connections), of each interval. On a terminal
this fills the window until q is pressed, and h tells more; elsewhere there are tables for
each interval. A server that goes away is waited for.

--sort is one of ` + top.Orders() + `: figures are sorted with the
greatest first. Types know no in, out, busy and age, connections no errors, p50 and p99:
these are sorted by rate then.

--json writes an object a line for each interval, with:
  now, seconds               its end, and how long it was
  restarted, uptime_seconds  whether the server was started anew in it, then it is the
                             time since
  connections, serving, queued, in_flight
                             open ones, handlers that run, requests that wait for one,
                             calls of the server, at the end
  requests_per_s, calls_per_s, errors_per_s
                             those that ended: requests to the server, its own calls, and
                             what of both was not ok
  p50_us, p99_us             of requests; null if none ended. They are up to 9 % high
  bytes_received_per_s, bytes_sent_per_s, packets_received_per_s, packets_sent_per_s,
  stalls_per_s
  types                      a list with type, role (server: requests, client: calls),
                             per_s, errors_per_s, p50_us, p99_us, mean_us, outcomes_per_s
                             by outcome, total (since the start)
  conns                      a list with conn, peer, identity, opened, age_seconds,
                             requests_per_s, responses_per_s, calls_per_s,
                             bytes_received_per_s, bytes_sent_per_s, stalls_per_s, serving,
                             queued, in_flight, send_queued (bytes), paused
  types_left_out, conns_left_out
                             how many are not listed, for --limit
or only now and error, if the server did not answer.

Exit codes: 0 ended by q, --count or a signal, 2 wrong usage, 3 no answer at the beginning.`,
		Example: `  pktsvc top --sort p99
  pktsvc top --json --interval 10s --count 6 | jq .requests_per_s`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	v.admin.flags(flags)
	flags.DurationVar(&v.every, "interval", time.Second, "how long an interval is")
	flags.IntVar(&v.times, "count", 0, "end after so many intervals; 0: go on")
	flags.StringVar(&v.sort, "sort", string(top.ByRate), "what rows are sorted by")
	flags.IntVar(&v.limit, "limit", 100, "list no more than so many types, and connections, where there is no terminal")
	flags.BoolVar(&v.asJSON, "json", false, "one JSON object a line")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := v.check(); err != nil {
			return exitError{exitUsage, err}
		}
		v.admin.fromEnvironment(cmd, "PKTSVC_ADMIN")
		return v.run(cmd)
	}
	return cmd
}

func (v *liveView) check() (err error) {
	switch {
	case v.every < leastTopInterval:
		return fmt.Errorf("--interval is %v, want at least %v", v.every, leastTopInterval)
	case v.times < 0:
		return fmt.Errorf("--count is %d, want 0 or more", v.times)
	case v.limit < 0:
		return fmt.Errorf("--limit is %d, want 0 or more", v.limit)
	}
	if v.order, err = top.ParseOrder(v.sort); err != nil {
		return fmt.Errorf("--sort: %w", err)
	}
	return nil
}

func (v *liveView) run(cmd *cobra.Command) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	first, err := v.poll(ctx)
	switch {
	case ctx.Err() != nil:
		return nil // that is how it ends
	case err != nil:
		return err
	}
	if screen := terminalOf(cmd.OutOrStdout()); screen != nil && !v.asJSON {
		keys, _ := cmd.InOrStdin().(*os.File)
		return v.runScreen(ctx, first, keys, screen)
	}
	defer context.AfterFunc(ctx, stop)() // a second signal ends the program, also where nobody takes what it writes
	out := cmd.OutOrStdout()
	return top.Follow(ctx, first, v.every, v.times, v.poll, func(i *top.Interval) error { return v.write(out, i) })
}

// terminalOf is the terminal that a view can be drawn on, or nil.
func terminalOf(out io.Writer) *os.File {
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		return nil
	}
	return f
}

// poll asks the server for its counters. The error has an exit code.
func (v *liveView) poll(ctx context.Context) (*top.Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, max(v.every, leastTopTimeout))
	defer cancel()
	var s top.Sample
	if err := v.admin.ask(ctx, http.MethodGet, "/statz", nil, &s.Totals); err != nil {
		return nil, err
	}
	q := url.Values{"state": {"open"}, "limit": {strconv.Itoa(topConnections)}, "latency": {topLatency.String()}}
	if err := v.admin.ask(ctx, http.MethodGet, "/connz", q, &s.Conns); err != nil {
		return nil, err
	}
	if err := s.Check(); err != nil {
		return nil, exitError{exitNoAnswer, err}
	}
	return &s, nil
}

// write shows an interval where there is no terminal.
func (v *liveView) write(out io.Writer, i *top.Interval) error {
	if i.Figures != nil {
		i.Sort(v.order, false)
		i.Limit(v.limit)
	}
	if v.asJSON {
		return json.NewEncoder(out).Encode(i)
	}
	return top.WriteTables(out, i)
}
