package stream

import (
	"context"
	"fmt"
	"time"
)

// Observer sees what happens on connections. It is the hook for metrics, traces
// and logs; the Python package's trace_log is one use of it.
//
// Its methods are called concurrently, from the goroutines that do the work and
// with none of the engine's locks held, so they may use the connection's
// inquiring methods (Name, Stats, OpenRequests); they must not block, and must not
// call over the connection. Events come from the goroutines in which they happen,
// so they may overtake each other, also those of one request: a quick answer's
// call_done may come before call_submitted. Event.Time tells.
type Observer interface {
	// Events says which kinds the observer wants. It is asked when a connection is
	// made, and by [Conn.AskObserver]; kinds that nobody wants cost nothing.
	Events() EventSet

	// Begin is called once when a request begins: on the calling side before
	// it is sent (EventCallBegin), on the serving side when it is accepted
	// (EventRequestBegin), each only if Events has it. What it returns is the
	// context of the handler and of all later events of this request, so a span
	// can travel in it. ctx itself is returned where there is nothing to add.
	// e.Packet.Tag is 0 for calls, whose tag is allocated later. An observer that
	// follows this one request in detail, such as by a span, says so in e.Followed.
	Begin(ctx context.Context, e *Event) context.Context

	// Observe is called for every other event.
	//
	// Events are used again: neither method may keep e or what it points to, or
	// change anything in it but Followed.
	Observe(ctx context.Context, e *Event)
}

// EventKind is what happened.
type EventKind uint8

// The kinds of event. In brackets what the Python package calls them.
const (
	EventConnOpened      EventKind = iota
	EventConnClosed                // Reason, Err, Duration since opening
	EventReceiveEnded              // receiving is over [::: END RECV LOOP]; Err if not in order
	EventSendEnded                 // EOF has been sent, or never will be; Err if not in order [::: END SEND LOOP]
	EventStreamEnd                 // the stream ended between packets [==> end of Packet.scan]
	EventPacketQueued              // a packet was queued for sending [==> SENDQ]
	EventPacketWritten             // it was handed to the stream [==> WRITE]
	EventPacketReceived            // a packet was read [<== PARSE, ==> _RECV]
	EventPeerEndRequests           // it was ERQ [==> ENDRQ]
	EventPeerEOF                   // it was EOF, or a malformed end [==> EOFDQ]

	EventRequestBegin    // a request was accepted and waits for a handler [LATER]; see Observer.Begin
	EventRequestStarted  // its handler starts [==> RUNRQ, ==> HANDL]; Duration waited
	EventRequestHandled  // its handler ended [<== HANDL]; Err, Duration of the handler
	EventRequestDone     // its one outcome: ok, rejected (Rejection, Err) or lost; Duration since begin, Waited, Size of the response
	EventRequestRejected // a request was rejected instead of accepted; Rejection
	EventRequestDropped  // a request came after our EOF and cannot be answered

	EventCallBegin     // a call begins; see Observer.Begin
	EventCallSubmitted // it has a tag and is queued for sending
	EventCallDone      // its one outcome; Duration since begin, Waited, Err, Size of the response
	EventCallLate      // the answer came to a call that was given up, and was dropped
	EventCallUnknown   // a response matched no request, and was dropped

	EventFlushed   // bytes were written; Size
	EventStalled   // the stream takes no more bytes for now; Size queued
	EventSlowWrite // a batch of packets took the stream over 10 ms; Duration, Size
	EventPaused    // reading pauses, accepted requests are at their limit
	EventResumed   // reading goes on; Duration paused
	NumEvents      // the number of kinds, for tables
)

var eventNames = [NumEvents]string{
	"conn_opened", "conn_closed", "receive_ended", "send_ended", "stream_end",
	"packet_queued", "packet_written", "packet_received", "peer_end_requests", "peer_eof",
	"request_begin", "request_started", "request_handled", "request_done", "request_rejected", "request_dropped",
	"call_begin", "call_submitted", "call_done", "call_late", "call_unknown",
	"flushed", "stalled", "slow_write", "paused", "resumed",
}

// String returns a short name, fit for a log line.
func (k EventKind) String() string {
	if k < NumEvents {
		return eventNames[k]
	}
	return fmt.Sprintf("EventKind(%d)", uint8(k))
}

// EventSet is a set of kinds of event.
type EventSet uint64

// AllEvents has every kind.
const AllEvents EventSet = 1<<NumEvents - 1

// Events returns the set of the given kinds.
func Events(kinds ...EventKind) EventSet {
	var s EventSet
	for _, k := range kinds {
		s |= 1 << k
	}
	return s
}

// Has reports whether k is in the set.
func (s EventSet) Has(k EventKind) bool { return s>>k&1 != 0 }

// RejectReason is why a request was not answered ok, seen from the serving side.
type RejectReason uint8

// The reasons. Those up to RejectBusy are decided before a handler runs.
const (
	RejectNone           RejectReason = iota
	RejectNoHandler                   // this side serves no requests
	RejectRequestsEnded               // the peer had sent ERQ, or this side stops serving
	RejectUnknownChannel              // the channel is not open
	RejectForbidden                   // Options.Authorize forbids it
	RejectTagInUse                    // a request with this tag is being handled
	RejectBusy                        // too many accepted requests wait
	RejectCancelled                   // the caller had given it up, or its time was over, before its handler ran or meanwhile
	RejectUnknownType                 // the mux has no handler for the type
	RejectUndecodable                 // the typed request could not be decoded
	RejectDeclined                    // the handler said no, by a [Rejection]: the caller's fault, or a normal answer
	RejectHandler                     // the handler returned another error
	RejectPanic                       // the handler panicked
	RejectResult                      // the handler's response does not fit a packet
	NumRejectReasons                  // the number of reasons, for tables
)

var rejectNames = [NumRejectReasons]string{
	"none", "no_handler", "requests_ended", "unknown_channel", "forbidden", "tag_in_use", "busy", "cancelled",
	"unknown_type", "undecodable", "declined", "handler_error", "panic", "bad_result",
}

// String returns a short name, fit for a metric's label.
func (r RejectReason) String() string {
	if r < NumRejectReasons {
		return rejectNames[r]
	}
	return fmt.Sprintf("RejectReason(%d)", uint8(r))
}

// Event is one thing that happened. Which fields are set depends on Kind.
type Event struct {
	Kind EventKind
	Time time.Time
	Conn *Conn

	// Packet is the packet that the event is about. Events of requests carry the
	// request's packet, without its payload once the handler has returned. The
	// payload may be looked at only during the call.
	Packet Packet
	Label  string // calls: the label the caller gave, may be empty; see Event.Name

	Outcome   Outcome
	Reason    Reason
	Rejection RejectReason
	Err       error
	Duration  time.Duration
	// Waited is the part of Duration until the handler started, or until the call was
	// queued for sending; 0 where nothing stood in the way.
	Waited time.Duration
	// Answered, at the end of a request, is the part of Duration until its handler had
	// ended, or until the response to the call had been read; 0 where none came.
	Answered time.Duration
	Size     int // bytes

	// Followed says that an observer follows this request in detail. Where none does,
	// others need not look for what it may have put into the context.
	Followed bool

	payload   int       // bytes of the request's payload, also when it is not there any more
	begun     moment    // of the request
	sent      *mark     // likewise
	remote    remote    // likewise
	followers followers // of the request
	listed    bool      // it is the end of one that EndObservers are shown in a list
	pooled    bool      // it is from eventPool
}

// Name is the request's name: connection:tag:label (specification, section 13).
func (e *Event) Name() string {
	label := e.Label
	if label == "" {
		label = defaultLabel(e.Packet.Type, e.Packet.Flags, max(e.payload, len(e.Packet.Payload)))
	}
	return callName(e.Conn.Name(), e.Packet.Tag, label)
}

// Valuer is an [Observer] from which the contexts of handlers also have values. What
// Begin would have to put into the context of every request, whether or not somebody
// looks, costs nothing this way.
type Valuer interface {
	// Value returns the value of a key for a request, which has no payload here, or
	// nil. It is asked for what neither a context that Begin returned nor the
	// connection's knows, once Begin has returned, and at any time, also after the
	// request has ended. It must not block.
	Value(req Request, key any) any
}

// Observers combines several observers into one that calls them in order. Nil
// ones are left out; with none left it returns nil.
func Observers(list ...Observer) Observer {
	var some observers
	for _, o := range list {
		if o != nil {
			some = append(some, o)
		}
	}
	switch len(some) {
	case 0:
		return nil
	case 1:
		return some[0]
	}
	return some
}

// observers are seen by connections one by one (see watch). Their methods are for others.
type observers []Observer

func (os observers) Events() EventSet {
	var s EventSet
	for _, o := range os {
		s |= o.Events()
	}
	return s
}

func (os observers) Begin(ctx context.Context, e *Event) context.Context {
	followed := false
	for _, o := range os {
		if o.Events().Has(e.Kind) {
			e.Followed = false
			ctx = o.Begin(ctx, e)
			followed = followed || e.Followed
		}
	}
	e.Followed = followed
	return ctx
}

func (os observers) Observe(ctx context.Context, e *Event) {
	for _, o := range os {
		if o.Events().Has(e.Kind) {
			o.Observe(ctx, e)
		}
	}
}

// Value asks those that have values, in order.
func (os observers) Value(req Request, key any) any {
	for _, o := range os {
		if v, ok := o.(Valuer); ok {
			if value := v.Value(req, key); value != nil {
				return value
			}
		}
	}
	return nil
}
