package stream

import (
	"sync"
	"time"
)

// EndObserver is an [Observer] that takes the ends of requests many at a time, which at
// millions of them costs a fraction of an event for each.
type EndObserver interface {
	Observer

	// ObserveEnds is called with requests of one role that were answered ok and that
	// nobody follows (Event.Followed), instead of Observe with their EventCallDone or
	// EventRequestDone, if Events has those. The list is not empty. It may not keep or change the list, and
	// must not block.
	ObserveEnds(c *Conn, role Role, ends []End)
}

// End is the end of a request that was answered ok.
type End struct {
	Channel, Tag, Type, Flags uint64
	Label                     string // calls: the label the caller gave, may be empty

	// Duration is the time since the request began until a request's response was queued,
	// or until a call's was given to the caller. Waited is its part until the handler
	// started, or until the call was queued; and Answered that until the handler had ended,
	// or until the response had been read. Requests that were served one right after the
	// other, by quick handlers, share a look at the clock, up to 16 of them; calls that begin
	// so, of callers who were woken together, up to 16, as far as these usually begin within
	// 16 µs; and calls whose answers have come together, up to 64, or 16 with some of [Conn.Go].
	Duration, Waited, Answered time.Duration

	RequestSize, ResponseSize int // bytes of the payloads

	begun  moment
	sent   *mark
	remote remote
}

// remote are times of the peer, in microseconds and one more, up to an hour; 0: not known.
type remote struct{ queued, handled uint32 }

func remoteOf(t *Times) remote {
	one := func(d time.Duration) uint32 { return uint32(min(micros(d)+1, 1<<32-1)) }
	return remote{one(t.Queued), one(t.Handled)}
}

// Remote is how long the peer let a call wait for a handler, and how long that took, as
// far as the peer has told ([FeatureTimes]). The rest of the time from Sent to Answered was
// spent on the way.
func (e *End) Remote() (queued, handled time.Duration, known bool) {
	r := e.remote
	if r.queued == 0 || r.handled == 0 {
		return 0, 0, false
	}
	return time.Duration(r.queued-1) * time.Microsecond, time.Duration(r.handled-1) * time.Microsecond, true
}

// Begun is when the request had been read, or the call submitted; the zero time where
// nobody looked.
func (e *End) Begun() time.Time { return e.begun.time() }

// Sent is the time from there until the packet of this side, the request of a call and
// the response to a request, was handed to the stream; less than 0 if that is not known
// (yet). It may be called at any time.
func (e *End) Sent() time.Duration { return e.sent.since(e.begun) }

// Ended is when the request had its outcome.
func (e *End) Ended() time.Time { return (e.begun + moment(e.Duration)).time() }

// Event is what [Observer.Observe] would have been shown.
func (e *End) Event(c *Conn, role Role) *Event {
	kind := EventCallDone
	if role == RoleServer {
		kind = EventRequestDone
	}
	return &Event{
		Kind: kind, Time: e.Ended(), Conn: c, Label: e.Label, Outcome: OutcomeOK,
		Packet:   Packet{Kind: KindRequest, Channel: e.Channel, Tag: e.Tag, Flags: e.Flags, Type: e.Type},
		Duration: e.Duration, Waited: e.Waited, Answered: e.Answered, Size: e.ResponseSize,
		payload: e.RequestSize, begun: e.begun, sent: e.sent, remote: e.remote,
	}
}

// End is the same of an event of a request or of a call: one of its end, or that of a
// request that was rejected instead of accepted.
func (e *Event) End() End {
	return End{
		Channel: e.Packet.Channel, Tag: e.Packet.Tag, Type: e.Packet.Type, Flags: e.Packet.Flags, Label: e.Label,
		Duration: e.Duration, Waited: e.Waited, Answered: e.Answered,
		RequestSize: max(e.payload, len(e.Packet.Payload)), ResponseSize: e.Size,
		begun: e.begun, sent: e.sent, remote: e.remote,
	}
}

// endsAtOnce is how long a list of ends is at the most. It is short, so that what it is
// made of is still in the nearest cache of the processor.
const endsAtOnce = 16

// endList is a list that is not shown yet.
type endList struct {
	ends [endsAtOnce]End
	n    int
}

var endLists = sync.Pool{New: func() any { return new(endList) }}

// next is the place for one more; there is room.
func (l *endList) next() *End {
	l.n++
	return &l.ends[l.n-1]
}

// showEnds shows a list and lets go of it.
func (c *Conn) showEnds(role Role, l *endList) {
	kind := EventCallDone
	if role == RoleServer {
		kind = EventRequestDone
	}
	ends := l.ends[:l.n]
	w := c.watch.Load()
	for _, o := range w.enders {
		if o.wants.Has(kind) && len(ends) > 0 {
			o.ends.ObserveEnds(c, role, ends)
		}
	}
	l.n = 0 // what is in it is written over, each field, or goes with the pool
	endLists.Put(l)
}

// listAnswers lists the ends of calls that are about to be settled with responses of one
// read: no more of them than a list has room for. Somebody takes lists; at is about now. It
// runs on the reader.
func (c *Conn) listAnswers(list []arrival, at moment) {
	l := endLists.Get().(*endList)
	for i := range list {
		a := &list[i]
		call := a.call
		if call == nil || call.givenUp || call.followers != 0 || !a.packet.OK {
			continue
		}
		call.listed = true
		e := l.next()
		e.Channel, e.Tag, e.Type, e.Flags = call.channel, call.tag, call.typ, call.flags
		e.Label, e.RequestSize, e.ResponseSize = call.label, call.size, len(a.packet.Payload)
		e.begun, e.Waited, e.sent, e.remote = call.begun, call.waited, call.sent, call.remote
		e.Duration, e.Answered = call.begun.until(at), call.begun.until(c.in.at)
	}
	c.showEnds(RoleClient, l)
}

// listDone lists the end of an accepted request, whose response is queued since a time, or
// now. On the reader the list waits for others (see showServed).
func (c *Conn) listDone(in *inbound, at moment, response int, inline bool) {
	var l *endList
	if inline {
		l = c.in.served
	}
	if l == nil {
		l = endLists.Get().(*endList)
	}
	e := l.next()
	e.Channel, e.Tag, e.Type, e.Flags = in.channel.number, in.tag, in.typ, in.flags
	e.Label, e.RequestSize, e.ResponseSize = "", in.size, response
	e.begun, e.Waited, e.sent, e.remote = in.begun, time.Duration(in.waited.Load()), in.sent, remote{}
	if inline {
		c.in.served = l
		if l.n == endsAtOnce {
			c.showServed(now())
		}
		return
	}
	if at == 0 {
		at = now()
	}
	e.Duration, e.Answered = in.begun.until(at), in.begun.until(at)
	if in.answered != 0 {
		e.Answered = in.begun.until(in.answered)
	}
	c.showEnds(RoleServer, l)
}

// showServed shows the ends of requests that were served on the reader, with one look at
// the clock for all. It runs on the reader, before their responses are flushed.
func (c *Conn) showServed(at moment) {
	l := c.in.served
	c.in.served = nil
	for i := range l.ends[:l.n] {
		d := l.ends[i].begun.until(at)
		l.ends[i].Duration, l.ends[i].Answered = d, d
	}
	c.showEnds(RoleServer, l)
}
