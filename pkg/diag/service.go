package diag

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// The request types.
const (
	TypeEcho uint64 = iota
	TypeReverse
	TypeFail
	TypeLength
	TypeText
	TypeSleep
	TypeHash
	TypeCallBack
)

const (
	// ReverseFlags are the response flags of Reverse.
	ReverseFlags = 0x11
	// GreetingText is what Text answers.
	GreetingText = "héllo ✓ 日本 😀"
	// MaxSleep is the longest that Sleep sleeps; it refuses more.
	MaxSleep = 10 * time.Minute
)

// Option chooses how [Mux] serves.
type Option func(*settings)

type settings struct{ inline bool }

// Inline lets the types that never block and take time only in proportion to
// copying their payload (Echo, Reverse, Fail, Length, Text) run on the
// connection's reader from the first request on; see [stream.Mux.Inline]. Sleep, Hash
// and CallBack never are declared so.
func Inline() Option { return func(s *settings) { s.inline = true } }

// Mux returns a mux that serves all types.
func Mux(options ...Option) *stream.Mux {
	var s settings
	for _, o := range options {
		o(&s)
	}
	mux := new(stream.Mux)
	quick := mux.Handle
	if s.inline {
		quick = mux.Inline
	}
	quick(TypeEcho, "Echo", stream.HandlerFunc(echo))
	quick(TypeReverse, "Reverse", stream.HandlerFunc(reverse))
	quick(TypeFail, "Fail", stream.HandlerFunc(fail))
	quick(TypeLength, "Length", stream.HandlerFunc(length))
	quick(TypeText, "Text", stream.HandlerFunc(text))
	mux.HandleFunc(TypeSleep, "Sleep", sleep)
	mux.HandleFunc(TypeHash, "Hash", hash)
	mux.HandleFunc(TypeCallBack, "CallBack", callBack)
	return mux
}

// CallBacks returns what a client serves so that CallBack can be asked: Echo
// alone.
func CallBacks() *stream.Mux {
	mux := new(stream.Mux)
	mux.Inline(TypeEcho, "Echo", stream.HandlerFunc(echo))
	return mux
}

func echo(_ context.Context, req stream.Request) (stream.Response, error) {
	return stream.Response{Flags: req.Flags, Payload: req.Payload}, nil
}

func reverse(_ context.Context, req stream.Request) (stream.Response, error) {
	backwards := bytes.Clone(req.Payload)
	slices.Reverse(backwards)
	return stream.Response{Flags: ReverseFlags, Payload: backwards}, nil
}

var errFail = errors.New("asked to fail")

func fail(context.Context, stream.Request) (stream.Response, error) {
	return stream.Response{}, errFail
}

func length(_ context.Context, req stream.Request) (stream.Response, error) {
	return stream.Response{Flags: uint64(len(req.Payload))}, nil
}

var greeting = stream.Text(GreetingText) // never changed

func text(context.Context, stream.Request) (stream.Response, error) { return greeting, nil }

func sleep(ctx context.Context, req stream.Request) (stream.Response, error) {
	const most = uint64(MaxSleep / time.Millisecond)
	// 20 digits hold any number of 64 bits; what is longer need not be looked at.
	var ms uint64
	err := strconv.ErrRange
	if len(req.Payload) <= 20 {
		ms, err = strconv.ParseUint(string(req.Payload), 10, 64)
	}
	if err != nil || ms > most {
		shown := req.Payload[:min(len(req.Payload), 40)]
		return stream.Response{}, stream.Reject("the payload %q is no number of milliseconds from 0 to %d in decimal", shown, most)
	}
	timer := time.NewTimer(time.Duration(ms) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return stream.Response{}, nil
	case <-ctx.Done():
		return stream.Response{}, ctx.Err()
	}
}

func hash(_ context.Context, req stream.Request) (stream.Response, error) {
	sum := sha256.Sum256(req.Payload)
	return stream.Response{Payload: hex.AppendEncode(nil, sum[:])}, nil
}

// callBack passes the client's rejection on, as it does its answer.
func callBack(ctx context.Context, req stream.Request) (stream.Response, error) {
	resp, err := req.Conn.Call(ctx, stream.Request{
		Type: TypeEcho, Channel: req.Channel, Flags: req.Flags, Payload: req.Payload,
	})
	if e := (*stream.Error)(nil); errors.As(err, &e) && e.Outcome == stream.OutcomeRejected {
		return stream.Response{}, &stream.Rejection{Flags: e.Flags, Payload: e.Payload}
	}
	return resp, err
}
