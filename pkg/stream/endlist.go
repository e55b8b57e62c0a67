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

	// Duration is the time since the request began, and Waited its part until the
	// handler started, or until the call was queued. Requests that were served one right
	// after the other, by quick handlers, share a look at the clock, up to 16 of them.
	Duration, Waited time.Duration

	RequestSize, ResponseSize int // bytes of the payloads

	begun moment
}

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
		Duration: e.Duration, Waited: e.Waited, Size: e.ResponseSize, payload: e.RequestSize,
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
	for i := range ends {
		ends[i].Label = ""
	}
	l.n = 0
	endLists.Put(l)
}

// listAnswers lists the ends of calls that are about to be settled with responses of one
// read: no more of them than a list has room for. It runs on the reader.
func (c *Conn) listAnswers(list []arrival) {
	if !c.watch.Load().lists.Has(EventCallDone) {
		return
	}
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
		e.begun, e.Duration, e.Waited = call.begun, call.begun.until(c.in.at), call.waited
	}
	c.showEnds(RoleClient, l)
}

// listDone lists the end of an accepted request, whose response is queued. On the reader
// the list waits for others (see showServed).
func (c *Conn) listDone(in *inbound, response int, inline bool) {
	var l *endList
	if inline {
		l = c.in.served
	}
	if l == nil {
		l = endLists.Get().(*endList)
	}
	e := l.next()
	e.Channel, e.Tag, e.Type, e.Flags = in.channel.number, in.tag, in.typ, in.flags
	e.RequestSize, e.ResponseSize = in.size, response
	e.begun, e.Waited = in.begun, in.waited
	if inline {
		c.in.served = l
		if l.n == endsAtOnce {
			c.showServed(now())
		}
		return
	}
	e.Duration = in.begun.until(now())
	c.showEnds(RoleServer, l)
}

// showServed shows the ends of requests that were served on the reader, with one look at
// the clock for all. It runs on the reader, before their responses are flushed.
func (c *Conn) showServed(at moment) {
	l := c.in.served
	c.in.served = nil
	for i := range l.ends[:l.n] {
		l.ends[i].Duration = l.ends[i].begun.until(at)
	}
	c.showEnds(RoleServer, l)
}
