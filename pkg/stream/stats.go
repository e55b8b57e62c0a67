package stream

import "time"

// Role says on which side of a request one stands.
type Role uint8

// The roles.
const (
	RoleClient Role = iota // this side asked
	RoleServer             // this side answers
)

// String returns "client" or "server".
func (r Role) String() string {
	if r == RoleServer {
		return "server"
	}
	return "client"
}

// Stats are counters and levels of one connection (specification, section 15).
// "rq in" of the Python package is RequestsReceived and ResponsesSent, "request
// out" is CallsSent and CallsAnswered.
type Stats struct {
	PacketsReceived, BytesReceived uint64
	PacketsSent, BytesSent         uint64 // packets queued for sending, bytes taken by the stream
	RequestsReceived               uint64 // rejected ones too, without ERQ and EOF
	ResponsesSent                  uint64 // queued for sending, rejections too
	CallsSent                      uint64 // requests of this side, without ERQ and EOF
	CallsAnswered                  uint64 // responses that matched a request
	Stalls                         uint64 // times the stream took no more bytes

	InFlight    int // this side's unanswered requests, given-up ones too
	Serving     int // handlers that run
	Queued      int // accepted requests that wait for a handler
	QueuedBytes int // payload bytes of accepted, unanswered requests
	SendQueued  int // bytes that wait to be sent
	Receiving   int // bytes of a packet of which the rest is awaited
	Paused      bool
	Unanswered  int // accepted requests that the connection's end left unanswered

	RoundTrip time.Duration // to the peer and back, at the last ping; 0: not known
}

// RequestState is where an open request stands.
type RequestState uint8

// The states of an open request.
const (
	StateQueued  RequestState = iota // accepted, waits for a handler
	StateRunning                     // its handler runs
	StateWaiting                     // submitted by this side, no answer yet
	StateGivenUp                     // given up by this side, its answer still to come
)

// String returns a short name.
func (s RequestState) String() string {
	return [...]string{"queued", "running", "waiting", "given_up"}[s&3]
}

// OpenRequest is a request that has no answer yet, as [Conn.OpenRequests] lists it.
type OpenRequest struct {
	Role    Role
	State   RequestState
	Channel uint64
	Tag     uint64
	Type    uint64
	Flags   uint64
	Size    int       // payload bytes
	Label   string    // calls only
	Begun   time.Time // zero on a connection without an observer

	// Waited and Sent are like those of [End].
	Waited, Sent time.Duration
}
