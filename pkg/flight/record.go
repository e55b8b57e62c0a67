package flight

import (
	"sync"
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

// shard is a ring of records of some connections. What is put into it moves from the
// caches of one processor to those of another only where several have connections in it.
type shard struct {
	mu   sync.Mutex // guards all below; held for copying some records
	ring []record
	next uint64 // how many there have been
}

// put returns the place for one more record. mu is held.
func (s *shard) put() *record {
	r := &s.ring[s.next%uint64(len(s.ring))]
	s.next++
	return r
}

// lookAtOnce is how many records are looked at before the lock is given to others.
const lookAtOnce = 256

// each shows copies of the records that are there now, the latest first, until f
// returns false. f is called without the lock.
func (s *shard) each(f func(*record) bool) {
	some := make([]record, 0, lookAtOnce)
	s.mu.Lock()
	end := s.next
	s.mu.Unlock()
	for at := end; at > 0; {
		some = some[:0]
		s.mu.Lock()
		oldest := uint64(0)
		if n := uint64(len(s.ring)); s.next > n {
			oldest = s.next - n
		}
		for at > oldest && len(some) < lookAtOnce {
			at--
			some = append(some, s.ring[at%uint64(len(s.ring))])
		}
		s.mu.Unlock()
		if len(some) == 0 {
			return
		}
		for i := range some {
			if !f(&some[i]) {
				return
			}
		}
	}
}
