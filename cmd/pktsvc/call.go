package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/pktsvc/pktsvc/pkg/diag"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// question is what the flags of call say.
type question struct {
	target
	request    stream.Request
	data, file string
	limit      *packetSize
	timeout    time.Duration
	json       bool
}

// headerRoom is more than the numbers in front of a payload take.
const headerRoom = 64

func newCallCommand() *cobra.Command {
	var q question
	cmd := &cobra.Command{
		Use:   "call --addr ADDRESS --type N",
		Short: "Send one request and print the answer",
		Long: `Send one request to a packet service and write the payload of the answer to
standard output, exactly as it came. A request that the service sends back
meanwhile is answered if its type is 0, by an echo.

With --json there is one object instead, also for a rejection: ok, flags,
payload_hex, tag, channel, duration_us (from sending to the answer), and trace_id
if the OTEL_* variables of the environment ask for traces.

Exit codes: 0 answered, 1 rejected, with the reason on standard error; 2 wrong
usage, 3 no connection or connection lost, 4 no answer within --timeout.`,
		Example: `  pktsvc call --addr tcp://127.0.0.1:7450 --type 1 --data 'hello, world'
  pktsvc call --addr unix:///run/pktsvc.sock --type 6 --file - < picture.png`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return q.ask(cmd) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	q.flags(flags)
	flags.Uint64Var(&q.request.Type, "type", 0, "request type")
	flags.Uint64Var(&q.request.Flags, "flags", 0, "request flags")
	flags.Uint64Var(&q.request.Channel, "channel", 0, "channel; the service must have it")
	flags.StringVar(&q.data, "data", "", "the payload as text")
	flags.StringVar(&q.file, "file", "", "the payload from a file, or - for standard input")
	flags.DurationVar(&q.timeout, "timeout", 30*time.Second, "how long to wait, for the connection and for the answer")
	flags.BoolVar(&q.json, "json", false, "one JSON object")
	q.limit = packetLimit(flags)
	_ = cmd.MarkFlagRequired("addr") // the flags exist
	_ = cmd.MarkFlagRequired("type")
	cmd.MarkFlagsMutuallyExclusive("data", "file")
	return cmd
}

func (q *question) ask(cmd *cobra.Command) error {
	if q.timeout <= 0 {
		return exitError{exitUsage, fmt.Errorf("--timeout is %v, want more than 0", q.timeout)}
	}
	// What the engine would refuse is wrong usage; after this it refuses only for
	// the connection's sake.
	p := stream.Packet{Type: q.request.Type, Flags: q.request.Flags}
	if _, err := p.AppendBinary(nil); err != nil {
		return exitError{exitUsage, err}
	}
	dial, err := q.dial()
	if err != nil {
		return exitError{exitUsage, err}
	}
	payload, err := q.payload(cmd)
	if err != nil {
		return exitError{exitUsage, err}
	}
	q.request.Payload = payload
	trace, err := newTrace(cmd.Context(), cmd.ErrOrStderr())
	if err != nil {
		return exitError{exitUsage, err}
	}
	defer trace.end()

	ctx, cancel := context.WithTimeout(cmd.Context(), q.timeout)
	defer cancel()
	nc, closeStream, err := dial(ctx)
	if err != nil {
		return dialError(&q.addr, err)
	}
	defer func() { _ = closeStream() }() // the answer is there, or the reason why not
	options := stream.Options{
		Handler: diag.CallBacks(), MaxPacket: int(*q.limit) + headerRoom, Observer: trace.observer(),
		Extension: stream.ExtensionAsk, // so that the handler ends when nobody waits any more
	}
	if c := q.request.Channel; c != 0 {
		options.Channels = map[uint64]stream.Handler{c: diag.CallBacks()}
	}
	conn, err := stream.NewConn(nc, options)
	if err != nil {
		return exitError{exitUsage, err}
	}
	defer conn.Close() // in order where there is an answer, see below

	a := answer{Channel: q.request.Channel}
	begun := time.Now()
	call, err := conn.Submit(ctx, q.request)
	var resp stream.Response
	if err == nil {
		<-call.Done() // at the latest when ctx ends
		a.Tag = call.Tag()
		resp, err = call.Wait(context.Background())
	}
	a.Microseconds = time.Since(begun).Microseconds()
	a.TraceID = trace.id
	rejected := (*stream.Error)(nil)
	switch {
	case err == nil:
		a.OK, a.Flags, a.payload = true, resp.Flags, resp.Payload
	case errors.As(err, &rejected) && rejected.Outcome == stream.OutcomeRejected:
		a.Flags, a.payload = rejected.Flags, rejected.Payload
	default:
		return callError(err)
	}
	err = a.write(cmd.OutOrStdout(), q.json)
	shutdown(conn)
	if err != nil {
		return err
	}
	if !a.OK {
		return exitError{exitFailed, fmt.Errorf("rejected: %s", readable(a.payload))}
	}
	return nil
}

// payload returns what is to be sent, which is bounded.
func (q *question) payload(cmd *cobra.Command) ([]byte, error) {
	limit := int(*q.limit)
	if q.file == "" {
		if len(q.data) > limit {
			return nil, tooLong(limit)
		}
		return []byte(q.data), nil
	}
	in, err := openInput(cmd, q.file)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	b, err := io.ReadAll(io.LimitReader(in, int64(limit)+1))
	if err == nil && len(b) > limit {
		err = tooLong(limit)
	}
	return b, err
}

func tooLong(limit int) error {
	return fmt.Errorf("the payload has more than %d bytes; --max-packet allows more", limit)
}

// answer is what --json prints.
type answer struct {
	OK           bool   `json:"ok"`
	Flags        uint64 `json:"flags"`
	PayloadHex   string `json:"payload_hex"`
	Tag          uint64 `json:"tag"`
	Channel      uint64 `json:"channel"`
	Microseconds int64  `json:"duration_us"`
	TraceID      string `json:"trace_id,omitempty"`

	payload []byte
}

// write prints the answer. Without JSON that is the payload of an ok one.
func (a *answer) write(w io.Writer, asJSON bool) error {
	if asJSON {
		a.PayloadHex = hex.EncodeToString(a.payload)
		return json.NewEncoder(w).Encode(a)
	}
	if !a.OK {
		return nil
	}
	_, err := w.Write(a.payload)
	return err
}

// readable is a peer's text as it can be shown on a terminal.
func readable(text []byte) string {
	const most = 1000
	if len(text) > most {
		text = append(text[:most:most], "..."...)
	}
	quoted := strconv.Quote(string(text))
	if utf8.Valid(text) && quoted == `"`+string(text)+`"` {
		return string(text)
	}
	return quoted
}

func dialError(a *address, err error) error {
	code := exitNoAnswer
	if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
		code = exitTimeout
	}
	return exitError{code, fmt.Errorf("no connection to %v: %w", a, err)}
}

// callError is the error of a call without an answer.
func callError(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return exitError{exitTimeout, err}
	}
	return exitError{exitNoAnswer, err}
}

// shutdown ends a connection in order. What goes wrong then is of no interest
// any more: the answer is there, or its absence is known.
func shutdown(conn *stream.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = conn.Shutdown(ctx)
}
