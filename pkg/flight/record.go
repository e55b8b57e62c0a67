package flight

import (
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// record is what is remembered of a request that has ended.
type record struct {
	stream.End
	conn      *stream.ConnInfo
	role      stream.Role
	outcome   stream.Outcome
	rejection stream.RejectReason
	notable   bool // it is in a ring of notable requests, too
}

// took is how long it took until its response was written, as far as that is known yet.
func (r *record) took() time.Duration {
	if r.role == stream.RoleServer {
		return max(r.Duration, r.Sent())
	}
	return r.Duration
}

// identity is what tells a request from others, for ever. (Peers may use tags again.)
type identity struct {
	conn         *stream.ConnInfo
	role         stream.Role
	channel, tag uint64
	took         time.Duration
}

func (r *record) identity() identity { return identity{r.conn, r.role, r.Channel, r.Tag, r.Duration} }

// request is the form that is shown.
func (r *record) request(o *Options) Request {
	q := Request{
		Conn: r.conn.Name, Peer: r.conn.Peer.Address, Identity: r.conn.Peer.Identity,
		Channel: r.Channel, Tag: r.Tag, Type: r.Type, Method: o.name(r.Channel, r.Type), Label: r.Label, Flags: r.Flags,
		Role: r.role.String(), State: stateDone, Outcome: r.outcome.String(),
		Started: r.Begun(), DurationUS: r.Duration.Microseconds(),
		RequestBytes: r.RequestSize, ResponseBytes: r.ResponseSize,
	}
	if r.rejection != stream.RejectNone {
		q.Reason = r.rejection.String()
	}
	if queued, handled, known := r.Remote(); known {
		q.PeerTimes = &PeerTimes{queued.Microseconds(), handled.Microseconds()}
	}
	q.setStages(r.points())
	return q
}
