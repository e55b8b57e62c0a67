package flight

import (
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Request is a request as tools see it, in flight or ended.
type Request struct {
	Conn     string `json:"conn"`
	Peer     string `json:"peer,omitempty"`
	Identity string `json:"identity,omitempty"` // of the peer, as it was verified
	Channel  uint64 `json:"channel"`
	Tag      uint64 `json:"tag"`
	Type     uint64 `json:"type"`
	Method   string `json:"method,omitempty"` // name of the type
	Label    string `json:"label,omitempty"`  // of a call
	Flags    uint64 `json:"flags"`
	Role     string `json:"role"`             // of this side: client or server
	State    string `json:"state"`            // queued, running, waiting, given_up, or done
	Outcome  string `json:"outcome"`          // pending while it is in flight
	Reason   string `json:"reason,omitempty"` // of a rejection, where this side has rejected
	Error    string `json:"error,omitempty"`  // of a notable request

	Started    time.Time `json:"started"`
	DurationUS int64     `json:"duration_us"` // until now while it is in flight

	// StagesUS is when the request got on, in microseconds since Started: of a call
	// submitted, encoded, written, response_received and delivered; of a peer's request
	// received, queued, started, handler_done and response_written. What has not happened
	// or is not known is not there.
	StagesUS map[string]int64 `json:"stages_us"`
	// PeerTimes are those of the peer for a call, where it has told them.
	PeerTimes *PeerTimes `json:"peer_times,omitempty"`
	// Slowest is where most of the time went: of a call queue, write, peer (with both
	// ways; or wire, peer_queue and peer_handler where that is known) or deliver; of a
	// peer's request queue, handler or write.
	Slowest string `json:"slowest_stage"`

	RequestBytes  int    `json:"request_bytes"`
	ResponseBytes int    `json:"response_bytes"`
	TraceID       string `json:"trace_id"`        // empty: there is no trace of it
	Because       string `json:"notable_because"` // slow, failed, cancelled, rule N, or several, with commas
	// Payload is what a rule wants to have shown of the request's payload: its beginning,
	// quoted, or how long it is.
	Payload string `json:"payload,omitempty"`
}

// PeerTimes are how long a peer let a call wait for a handler, and how long that took.
type PeerTimes struct {
	QueueUS   int64 `json:"queue_us"`
	HandlerUS int64 `json:"handler_us"`
}

const stateDone = "done"

// The points in time at which a request gets on, and the stages that lie before some of
// them.
var (
	clientPoints = [numPoints]string{"submitted", "encoded", "written", "response_received", "delivered"}
	serverPoints = [numPoints]string{"received", "queued", "started", "handler_done", "response_written"}

	clientStages = []stage{{"queue", 1}, {"write", 2}, {"peer", 3}, {"deliver", 4}}
	serverStages = []stage{{"queue", 2}, {"handler", 3}, {"write", 4}}
)

const numPoints = 5

type stage struct {
	name  string
	until int // index of the point
}

func pointsOf(role string) ([numPoints]string, []stage) {
	if role == stream.RoleServer.String() {
		return serverPoints, serverStages
	}
	return clientPoints, clientStages
}

// points are when each was reached, since the first one; less than 0: it was not, or that
// is not known.
type points [numPoints]time.Duration

const never = -1

// points of a request that has ended.
func (r *record) points() points {
	p := points{0, never, never, never, never}
	answered := r.outcome == stream.OutcomeOK || r.outcome == stream.OutcomeRejected
	if r.role == stream.RoleServer {
		p[1] = 0
		if answered && (r.rejection == stream.RejectNone || r.rejection > stream.RejectBusy) {
			p[2], p[3] = r.Waited, r.Answered
		}
		p[4] = r.Sent()
		return p
	}
	if r.outcome != stream.OutcomeRefused {
		p[1], p[2] = r.Waited, r.Sent()
	}
	if answered {
		p[3] = r.Answered
	}
	p[4] = r.Duration
	return p
}

// openPoints are those of one that is in flight.
func openPoints(o *stream.OpenRequest) points {
	p := points{0, never, never, never, never}
	switch {
	case o.Role == stream.RoleClient:
		p[1], p[2] = o.Waited, o.Sent
	case o.State == stream.StateRunning:
		p[1], p[2] = 0, o.Waited
	default:
		p[1] = 0
	}
	return p
}

// setStages fills in what is known of the stages.
func (q *Request) setStages(p points) {
	names, _ := pointsOf(q.Role)
	q.StagesUS = make(map[string]int64, len(p))
	for i, d := range p {
		if d >= 0 {
			q.StagesUS[names[i]] = d.Microseconds()
		}
	}
	longest := int64(-1)
	for _, b := range q.bars() {
		if b.took > longest {
			q.Slowest, longest = b.name, b.took
		}
	}
}

// bar is a stage with its time, in microseconds.
type bar struct {
	name       string
	from, took int64
	open       bool // it has not ended
}

// bars are the stages that are known. One whose end is not known lasts until the next
// point that is, or until the end.
func (q *Request) bars() []bar {
	names, stages := pointsOf(q.Role)
	var list []bar
	from := int64(0)
	for i, s := range stages {
		until, known := q.StagesUS[names[s.until]]
		if known {
			list = q.appendBars(list, s.name, from, max(0, until-from))
			from = max(from, until)
			continue
		}
		last := true
		for _, later := range stages[i+1:] {
			_, known := q.StagesUS[names[later.until]]
			last = last && !known
		}
		if last {
			if open := q.State != stateDone; open || q.DurationUS > from {
				list = append(list, bar{s.name, from, max(0, q.DurationUS-from), open})
			}
			break
		}
	}
	return list
}

// appendBars appends a stage that has ended, in its parts where the peer has told them. On
// the way there and back took as long, for all that is known.
func (q *Request) appendBars(list []bar, name string, from, took int64) []bar {
	p := q.PeerTimes
	if name != "peer" || p == nil {
		return append(list, bar{name, from, took, false})
	}
	way := max(0, took-p.QueueUS-p.HandlerUS)
	return append(list,
		bar{"wire", from, way, false},
		bar{"peer_queue", from + way/2, p.QueueUS, false},
		bar{"peer_handler", from + way/2 + p.QueueUS, p.HandlerUS, false})
}
