package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/pktsvc/pktsvc/pkg/diag"
	"github.com/pktsvc/pktsvc/pkg/load"
	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// benchmark is what the flags of bench say.
type benchmark struct {
	target
	plan         load.Plan
	typ, channel uint64
	service      string
	class        store.Class
	blocks       uint64
	size         int
	data         string
	fixed        bool // data was given
	verify, json bool
	admin        string // where metrics of the calls are served; empty for nowhere
}

func newBenchCommand() *cobra.Command {
	var b benchmark
	cmd := &cobra.Command{
		Use:   "bench --addr ADDRESS",
		Short: "Put a service under load and measure it",
		Long: `Put a packet service under load and measure it: on each of --conns connections
--concurrency callers ask one request after another and wait for the answer. With
--rate there is a schedule of requests instead, whoever is free takes the next, and
latency counts from the time at which it was meant to leave.

Answers are verified, for the types of the diag service: type 0 is compared with
flags and payload of the request byte by byte, which differ from request to
request, and so is 7, which calls back; 1 with the payload backwards and flags
0x11; 3 with the length in the flags; 4 with its text; 5 with an empty answer (it
is asked for 0 ms, unless --data says more); 6 with the SHA-256. Type 2 is
rejected, which is an error like any rejection. Of other types any ok answer is
right, and of all with --verify=false, for other services.

With --service store there are blocks of --size bytes instead, --blocks different ones:
type 0 adds them, and the answer is compared with their hash; 1 gets, and 2 looks for, what
was added by an earlier run with the same --size.

The report has ops (right answers), ops_per_s, errors, the latencies p50_us,
p90_us, p99_us, p999_us, and bytes: payloads of requests and answers. With --json
also max_us, seconds, errors_by_outcome, conns_lost and unsent: requests for which
the rate found all callers waiting. SIGINT ends it early, with a report so far.

Exit codes: 0 all answers were right, 1 there were errors, 2 wrong usage, 3 no
connection, or all were lost.`,
		Example: `  pktsvc bench --addr tcp://127.0.0.1:7450 --concurrency 64 --duration 3s
  pktsvc bench --addr tcp://127.0.0.1:7450 --conns 10 --rate 5000 --duration 1m --json
  pktsvc bench --addr tcp://127.0.0.1:7450 --service store --type 0 --size 65536 --requests 5000
  pktsvc bench --addr tcp://127.0.0.1:7450 --service store --type 1 --size 65536 --requests 5000`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	b.flags(flags)
	flags.IntVar(&b.plan.Conns, "conns", 1, "connections")
	flags.IntVar(&b.plan.Callers, "concurrency", 64, "callers on each connection")
	flags.IntVar(&b.size, "size", 16, "payload of a request in bytes")
	flags.StringVar(&b.data, "data", "", "the payload as text, the same for every request")
	flags.Uint64Var(&b.typ, "type", diag.TypeEcho, "request type")
	flags.Uint64Var(&b.channel, "channel", 0, "channel; the service must have it")
	flags.StringVar(&b.service, "service", "diag", "what is asked, by which answers are verified: diag or store")
	flags.TextVar(&b.class, "hash", store.DefaultClass, "hash class of the store")
	flags.Uint64Var(&b.blocks, "blocks", 1<<20, "blocks of the store that differ; after the last comes the first again")
	flags.DurationVar(&b.plan.Duration, "duration", 3*time.Second, "how long requests are begun")
	flags.Uint64Var(&b.plan.Requests, "requests", 0, "how many requests, instead of --duration")
	flags.Float64Var(&b.plan.Rate, "rate", 0, "requests per second on all connections together (default as many as go)")
	flags.DurationVar(&b.plan.Timeout, "timeout", load.DefaultTimeout, "how long to wait for a connection, and for an answer")
	flags.BoolVar(&b.verify, "verify", true, "verify the answers of types 0 to 7")
	flags.StringVar(&b.admin, "admin", "", "HOST:PORT where /metrics and profiles of this side are served; calls are then traced and logged, too")
	flags.BoolVar(&b.json, "json", false, "the report as one JSON object")
	_ = cmd.MarkFlagRequired("addr") // the flag exists
	cmd.MarkFlagsMutuallyExclusive("duration", "requests")
	cmd.MarkFlagsMutuallyExclusive("size", "data")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		b.fixed = cmd.Flags().Changed("data")
		if cmd.Flags().Changed("requests") {
			b.plan.Duration = 0
			if b.plan.Requests == 0 {
				return exitError{exitUsage, fmt.Errorf("--requests is 0, want at least 1")}
			}
		} else if b.plan.Duration == 0 {
			return exitError{exitUsage, fmt.Errorf("--duration is 0, want more")}
		}
		return b.run(cmd)
	}
	return cmd
}

func (b *benchmark) run(cmd *cobra.Command) error {
	if b.size < 0 || b.size > maxPacketSize || len(b.data) > maxPacketSize {
		return exitError{exitUsage, fmt.Errorf("--size is %d, want from 0 to %d", b.size, maxPacketSize)}
	}
	if b.service != "diag" && b.service != "store" {
		return exitError{exitUsage, fmt.Errorf("--service is %q, want diag or store", b.service)}
	}
	if b.service == "store" && b.fixed {
		return exitError{exitUsage, fmt.Errorf("--data is for --service diag; blocks are made of their number")}
	}
	p := stream.Packet{Type: b.typ}
	if _, err := p.AppendBinary(nil); err != nil {
		return exitError{exitUsage, err}
	}
	dial, err := b.dial()
	if err != nil {
		return exitError{exitUsage, err}
	}
	b.plan.Dial = dial
	b.plan.Exchange = b.exchange
	b.plan.Options = stream.Options{
		Extension: stream.ExtensionAsk,
		Handler:   diag.CallBacks(), MaxPacket: max(stream.DefaultMaxPacket, b.size+headerRoom, len(b.data)+headerRoom),
	}
	if b.channel != 0 {
		b.plan.Options.Channels = map[uint64]stream.Handler{b.channel: diag.CallBacks()}
	}
	if err := b.plan.Validate(); err != nil {
		return exitError{exitUsage, err}
	}

	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)() // a second signal ends the program at once
	observed, err := b.observe(ctx, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	defer observed()
	run, err := load.Start(ctx, b.plan)
	if err != nil {
		return dialError(&b.addr, err)
	}
	defer run.Close()
	if bar := newProgress(cmd.ErrOrStderr(), &b.plan); bar != nil {
		bar.show(run)
	}
	report := run.Wait()
	if err := b.print(cmd, &report); err != nil {
		return err
	}
	switch {
	case report.ConnsLost == b.plan.Conns:
		return exitError{exitNoAnswer, fmt.Errorf("all connections were lost, with %d errors", report.Errors)}
	case report.Errors > 0 || report.ConnsLost > 0:
		return exitError{exitFailed, fmt.Errorf("%d errors, %d connections lost", report.Errors, report.ConnsLost)}
	}
	return nil
}

func (b *benchmark) exchange(caller int) load.Exchange {
	var probe load.Exchange
	switch {
	case b.service == "store":
		probe = store.NewProbe(b.class, b.typ, b.size, b.blocks)
	case b.fixed:
		probe = diag.NewFixedProbe(b.typ, []byte(b.data))
	default:
		probe = diag.NewProbe(b.typ, b.size, uint64(caller))
	}
	if !b.verify {
		probe = unverified{probe}
	}
	return onChannel{probe, b.channel}
}

// onChannel asks on a channel.
type onChannel struct {
	load.Exchange
	channel uint64
}

func (o onChannel) Request(n uint64) stream.Request {
	req := o.Exchange.Request(n)
	req.Channel = o.channel
	return req
}

// unverified takes any ok answer as right.
type unverified struct{ load.Exchange }

func (unverified) Verify(stream.Response) error { return nil }

func (b *benchmark) print(cmd *cobra.Command, r *load.Report) error {
	if b.json {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(r)
	}
	return r.WriteText(cmd.OutOrStdout())
}
