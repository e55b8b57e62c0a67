package flight

import (
	"sync"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// What stream.PackedEnd.Note says beside the outcome, in its lowest 8 bits. A record is
// packed, since at a million requests a second the lines of the processor's caches that it
// takes, which were written to long ago, cost more than all else about it.
const (
	rejectionAt = 8
	roleAt      = 16
	noteNotable = 1 << 24
	noteWhole   = 1 << 25 // its End does not fit and lies beside the ring
)

func (r *record) note() uint32 {
	n := uint32(r.outcome) | uint32(r.rejection)<<rejectionAt | uint32(r.role)<<roleAt
	if r.notable {
		n |= noteNotable
	}
	return n
}

// shard is a ring of records of some connections. What is put into it moves from the
// caches of one processor to those of another only where several have connections in it.
type shard struct {
	mu    sync.Mutex // guards all below; held for copying some records
	ring  []stream.PackedEnd
	next  uint64        // how many there have been
	whole []*stream.End // of those in the ring that do not fit there; nil: none ever was
}

// put keeps some more. mu is held.
func (s *shard) put(conn *stream.ConnInfo, note uint32, ends ...stream.End) {
	for len(ends) > 0 {
		at := s.next % uint64(len(s.ring))
		n := stream.PackEnds(s.ring[at:], conn, note, ends)
		if n == 0 {
			s.putWhole(at, conn, note, &ends[0])
			n = 1
		}
		ends = ends[n:]
		s.next += uint64(n)
	}
}

// putWhole keeps what does not fit, in memory that is then there for the next.
func (s *shard) putWhole(at uint64, conn *stream.ConnInfo, note uint32, e *stream.End) {
	k := &s.ring[at]
	k.Conn, k.Note = conn, note|noteWhole
	if s.whole == nil {
		s.whole = make([]*stream.End, len(s.ring))
	}
	if s.whole[at] == nil {
		s.whole[at] = new(stream.End)
	}
	*s.whole[at] = *e
}

// get returns the record of a place in the ring. mu is held.
func (s *shard) get(at int) record {
	k := &s.ring[at]
	r := record{
		conn: k.Conn, outcome: stream.Outcome(k.Note), rejection: stream.RejectReason(k.Note >> rejectionAt),
		role: stream.Role(k.Note >> roleAt & 0xff), notable: k.Note&noteNotable != 0,
	}
	if k.Note&noteWhole != 0 {
		r.End = *s.whole[at]
	} else {
		r.End = k.Unpack()
	}
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
			some = append(some, s.get(int(at%uint64(len(s.ring)))))
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
