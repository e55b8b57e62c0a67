package stream

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Request is what one side asks of the other. A caller fills in the first part;
// the rest is set by the engine on a request that a handler gets.
type Request struct {
	Type    uint64 // the application's request type, 0 to 2^64-2
	Flags   uint64 // the application's request flags, 0 to 2^62-1
	Channel uint64 // 0, or a channel that Options.Channels names
	Payload []byte // may be nil

	// Label names a call in errors, logs and listings; it is not sent. Empty
	// means the default label, such as "rq_type=3,0b101,3bs".
	Label string
	// Idempotent lets [Client.Call] send the request again when the connection
	// was lost after it had been sent.
	Idempotent bool
	// Buffer, if its capacity suffices, receives the response's payload, or that
	// of the [*Error] of a rejection, so that a call allocates nothing. It belongs
	// to the engine until the call ends.
	Buffer []byte

	Conn *Conn  // the connection that the request came on
	Tag  uint64 // names the request on its channel
}

// Response is the ok answer to a request.
type Response struct {
	Flags   uint64 // response flags, 0 to 2^61-1
	Payload []byte // may be nil
}

// Text returns a response that carries s in UTF-8. Like the Python package, a
// lone surrogate (three bytes that are not valid UTF-8) goes out as an XML
// character reference such as "&#55296;"; other invalid bytes become U+FFFD.
func Text(s string) Response {
	if utf8.ValidString(s) {
		return Response{Payload: []byte(s)}
	}
	var b []byte
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r != utf8.RuneError || n > 1 {
			b = append(b, s[:n]...)
		} else if len(s) >= 3 && s[0] == 0xed && s[1]>>5 == 0b101 && s[2]>>6 == 0b10 {
			b = fmt.Appendf(b, "&#%d;", 0xd000|rune(s[1]&0x3f)<<6|rune(s[2]&0x3f))
			n = 3
		} else {
			b = utf8.AppendRune(b, utf8.RuneError)
		}
		s = s[n:]
	}
	return Response{Payload: b}
}

// Handler serves requests.
//
// Serve is called concurrently with itself up to Options.MaxHandlers times for each
// connection, and may block; it may call over req.Conn and wait for the answer, with
// ctx. It has a goroutine of the request's own, or, where a type has always returned
// within microseconds, the connection's reader, whose work another goroutine takes over
// should it wait this time after all. ctx ends when the connection ends, and may be
// kept. The payload of the request is valid until Serve returns. The payload of the
// response is copied when Serve returns, so it may be a part of the request's.
//
// An error is answered not ok with the text "exception during handler": nothing
// of it crosses the wire, unless it is a [*Rejection], whose flags and payload
// do. A panic is answered like an error and reported to the observer with its
// stack; the connection goes on.
type Handler interface {
	Serve(ctx context.Context, req Request) (Response, error)
}

// HandlerFunc is a function as a [Handler].
type HandlerFunc func(ctx context.Context, req Request) (Response, error)

// Serve calls f.
func (f HandlerFunc) Serve(ctx context.Context, req Request) (Response, error) { return f(ctx, req) }

// Rejection is the error by which a handler chooses the not-ok answer itself.
type Rejection struct {
	Flags   uint64 // response flags, 0 to 2^61-1
	Payload []byte // usually a text
}

// Reject returns a rejection with a text, formatted like fmt.Sprintf.
func Reject(format string, args ...any) *Rejection {
	return &Rejection{Payload: fmt.Appendf(nil, format, args...)}
}

// Error returns the text that the peer sees.
func (r *Rejection) Error() string { return "rejected: " + string(r.Payload) }

// defaultLabel is the default label (specification, section 13).
func defaultLabel(typ, flags uint64, size int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "rq_type=%d", typ)
	if flags != 0 {
		fmt.Fprintf(&b, ",%#b", flags)
	}
	if size > 0 {
		fmt.Fprintf(&b, ",%dbs", size)
	}
	return b.String()
}
