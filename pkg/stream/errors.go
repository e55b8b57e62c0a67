package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Conditions that errors of this package match with [errors.Is].
var (
	// ErrRejected matches every call that the peer has answered not ok; its
	// [*Error] has the flags and the payload.
	ErrRejected = errors.New("rejected by the peer")
	// ErrConnectionLost matches every call that failed because its connection
	// ended before the answer came.
	ErrConnectionLost = errors.New("connection lost")
	// ErrClosed matches calls refused because this side has closed the
	// connection or is shutting it down.
	ErrClosed = errors.New("connection closed by this side")
	// ErrRequestsEnded matches calls refused because this side has sent ERQ.
	ErrRequestsEnded = errors.New("this side has ended its requests")
	// ErrPeerEnded is the cause when the peer ended sending in an orderly way.
	ErrPeerEnded = errors.New("the peer has ended sending")
	// ErrSlowConsumer is the cause when the peer took no bytes for
	// Options.WriteTimeout.
	ErrSlowConsumer = errors.New("slow consumer: the peer takes no bytes")
	// ErrSlowSender is the cause when no byte came for Options.ReadTimeout in the
	// middle of a packet.
	ErrSlowSender = errors.New("slow sender: the peer has stopped in the middle of a packet")
	// ErrOverload is the cause when Options.Budget was used up and the peer took
	// none of the answers that said so.
	ErrOverload = errors.New("overload: the memory of all connections is used up, and the peer reads no answers")
	// ErrTimeLimit is the cause when a limit of time on the connection passed.
	ErrTimeLimit = errors.New("connection time limit")
)

// Outcome is how a request ended. Every request, on either side, has exactly one.
type Outcome uint8

// The outcomes of a request.
const (
	OutcomePending  Outcome = iota
	OutcomeOK               // answered ok
	OutcomeRejected         // answered not ok: by the handler, or before it ran
	OutcomeCanceled         // the caller gave up
	OutcomeDeadline         // the caller's deadline passed
	OutcomeLost             // the connection ended before the answer
	OutcomeRefused          // refused on the caller's side, nothing was sent
	NumOutcomes             // the number of outcomes, for tables
)

var outcomeNames = [NumOutcomes]string{"pending", "ok", "rejected", "canceled", "deadline", "lost", "refused"}

// String returns a short name, fit for a metric's label.
func (o Outcome) String() string {
	if o < NumOutcomes {
		return outcomeNames[o]
	}
	return fmt.Sprintf("Outcome(%d)", uint8(o))
}

// Error is the error of a call that was not answered ok. It says what became of
// the request, on which side that was decided, and which request it was.
//
// errors.Is matches the cause: context.Canceled, context.DeadlineExceeded,
// [ErrRejected], [ErrConnectionLost], [ErrClosed], [ErrRequestsEnded], [ErrPeerEnded] and so on.
type Error struct {
	Outcome Outcome
	Remote  bool   // the peer decided it: a rejection
	Sent    bool   // some of the request's bytes may have reached the peer, or may yet
	Conn    string // the connection's name
	Channel uint64
	Tag     uint64 // 0 when none was allocated
	Type    uint64
	Label   string
	Flags   uint64 // rejections: the response flags
	Payload []byte // rejections: usually a text
	Err     error  // the cause; nil for rejections
}

// Error returns one line that names the request, the side and the cause.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "request %s (channel %d, type %d): ", callName(e.Conn, e.Tag, e.Label), e.Channel, e.Type)
	switch e.Outcome {
	case OutcomeRejected:
		fmt.Fprintf(&b, "rejected by the peer: flags=%#x, payload=%q", e.Flags, clip(e.Payload, 200))
	case OutcomeLost:
		if e.Sent {
			b.WriteString("connection lost after it was sent, it may have been served")
		} else {
			b.WriteString("connection lost before it was sent, it can be sent again")
		}
	case OutcomeRefused:
		b.WriteString("refused by this side")
	case OutcomeCanceled:
		b.WriteString("given up by the caller")
	case OutcomeDeadline:
		b.WriteString("not answered in time")
	default:
		b.WriteString(e.Outcome.String())
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is matches ErrRejected and ErrConnectionLost, whatever the cause was.
func (e *Error) Is(target error) bool {
	switch e.Outcome {
	case OutcomeRejected:
		return target == ErrRejected
	case OutcomeLost:
		return target == ErrConnectionLost
	}
	return false
}

func clip(b []byte, n int) []byte {
	if len(b) > n {
		return append(b[:n:n], "..."...)
	}
	return b
}

// ctxOutcome tells a context's end by deadline from one by cancellation.
func ctxOutcome(err error) Outcome {
	if errors.Is(err, context.DeadlineExceeded) {
		return OutcomeDeadline
	}
	return OutcomeCanceled
}

// ProtocolKind is a coarse cause of a [ProtocolError].
type ProtocolKind uint8

// The kinds of protocol error.
const (
	ProtocolMalformed  ProtocolKind = iota // bytes that are no packet
	ProtocolTruncated                      // the stream ended inside a packet
	ProtocolOversize                       // a packet longer than the limit
	ProtocolNotPackets                     // plainly another protocol: HTTP, TLS
)

// ProtocolError says that the peer's bytes are not the protocol's. It ends the
// connection.
type ProtocolError struct {
	Kind    ProtocolKind
	Offset  int64  // of the packet in the peer's stream, in bytes
	Field   string // what could not be read
	Problem string
}

// Error returns one line with the offset, the field and the problem.
func (e *ProtocolError) Error() string {
	return fmt.Sprintf("protocol error in the packet at byte %d: %s: %s", e.Offset, e.Field, e.Problem)
}

// Reason is why a connection ended, as a small set of names for logs and
// metrics. [Conn.Err] has the details.
type Reason uint8

// The reasons for which connections end.
const (
	ReasonNone         Reason = iota // still open
	ReasonShutdown                   // both sides ended in order
	ReasonStreamEnd                  // the peer's stream ended between packets, without an EOF packet
	ReasonLinger                     // we ended in order; the peer's end did not come within Options.Linger
	ReasonClosed                     // Close, or Shutdown whose time ran out
	ReasonMalformed                  // protocol error
	ReasonTruncated                  // the stream ended inside a packet
	ReasonOversize                   // a packet over the limit was announced
	ReasonNotPackets                 // the peer speaks another protocol
	ReasonSlowConsumer               // the peer took no bytes for too long
	ReasonSlowSender                 // no byte came for too long in the middle of a packet
	ReasonOverload                   // no memory for what the peer sends, and it reads no rejections
	ReasonDeadPeer                   // nothing came from the peer, not even the answer to a ping
	ReasonTimeout                    // first byte, idle or age limit
	ReasonReadError
	ReasonWriteError
	NumReasons // the number of reasons, for tables
)

var reasonNames = [NumReasons]string{
	"none", "shutdown", "stream_end", "linger", "closed", "malformed", "truncated", "oversize",
	"not_packets", "slow_consumer", "slow_sender", "overload", "dead_peer", "timeout", "read_error", "write_error",
}

// String returns a short name, fit for a metric's label.
func (r Reason) String() string {
	if r < NumReasons {
		return reasonNames[r]
	}
	return fmt.Sprintf("Reason(%d)", uint8(r))
}

// protocolReason maps a protocol error to the reason of the connection's end.
func protocolReason(err error) Reason {
	pe := (*ProtocolError)(nil)
	if !errors.As(err, &pe) {
		return ReasonReadError
	}
	return [...]Reason{ReasonMalformed, ReasonTruncated, ReasonOversize, ReasonNotPackets}[pe.Kind]
}

// PanicError is the error of a handler that panicked.
type PanicError struct {
	Value any    // what it panicked with
	Stack []byte // of the handler's goroutine
}

// Error returns the value, without the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("handler panicked: %v", e.Value) }

// callName is the name of a request: connection:tag:label (specification,
// section 13).
func callName(conn string, tag uint64, label string) string {
	return fmt.Sprintf("%s:%d:%s", conn, tag, label)
}
