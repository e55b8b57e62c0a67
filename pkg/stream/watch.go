package stream

import (
	"context"
	"sync"
	"time"
)

// Chooser is an [Observer] of some requests only. Of those that it does not choose it is
// shown no event from their beginning (EventCallBegin, EventRequestBegin) to their end
// (EventCallDone, EventRequestDone), and where nobody else is either, none is made.
type Chooser interface {
	Observer

	// Chooses is asked when a request begins, if Events has that event, before Begin.
	// ctx is that of the call, or of the connection. Calls have no tag yet. The observer
	// is shown further events only if it follows the request after Begin, too, which finds
	// Event.Followed set and may take it back. It must not block.
	Chooses(ctx context.Context, c *Conn, role Role, channel, tag, typ uint64) bool
}

// ofRequests are the events of which a Chooser is shown those of its requests.
const ofRequests = EventSet(1<<EventCallBegin | 1<<EventCallSubmitted | 1<<EventCallDone | 1<<EventCallLate |
	1<<EventRequestBegin | 1<<EventRequestStarted | 1<<EventRequestHandled | 1<<EventRequestDone)

// ofEnds are the ends of requests.
const ofEnds = EventSet(1<<EventCallDone | 1<<EventRequestDone)

// followers are the observers that follow a request: a bit for each Chooser, and the
// lowest one for all others.
type followers uint64

// watch is what a connection knows of its observers. It is never changed, only replaced.
type watch struct {
	list     []watcher
	choosers []*watcher // those that choose
	enders   []*watcher // those that take lists
	carriers []Carrier

	calls, requests *foresees // who alone chooses of them; may be nil

	wants EventSet // of any of them
	all   EventSet // of those that do not choose: wanted of every request
	each  EventSet // of those that take no lists, either
	lists EventSet // ends of requests that somebody takes in lists
}

type watcher struct {
	Observer
	wants   EventSet
	chooser Chooser     // nil: it is none
	ends    EndObserver // nil: it takes no lists
	bit     followers   // as a follower
}

var unwatched = new(watch)

// newWatch asks an observer, or those that were combined, what they want.
func newWatch(o Observer) *watch {
	if o == nil {
		return unwatched
	}
	w := new(watch)
	w.add(o)
	for i := range w.list {
		of := &w.list[i]
		if of.chooser != nil {
			w.choosers = append(w.choosers, of)
		}
		if of.ends != nil {
			w.enders = append(w.enders, of)
		}
	}
	w.calls, w.requests = w.foreseerOf(EventCallBegin), w.foreseerOf(EventRequestBegin)
	return w
}

const maxChoosers = 63 // further ones are shown all requests

func (w *watch) add(o Observer) {
	if list, combined := o.(observers); combined {
		for _, o := range list {
			w.add(o)
		}
		return
	}
	of := watcher{Observer: o, wants: o.Events(), bit: 1}
	if c, ok := o.(Chooser); ok && len(w.list) < maxChoosers {
		of.chooser, of.bit = c, 2<<len(w.list)
	}
	each := of.wants
	if l, ok := o.(EndObserver); ok {
		of.ends = l
		w.lists |= of.wants & ofEnds
		each &^= ofEnds
	}
	if of.chooser == nil {
		w.all |= of.wants
		w.each |= each
	}
	if carrier, ok := o.(Carrier); ok {
		w.carriers = append(w.carriers, carrier)
	}
	w.wants |= of.wants
	w.list = append(w.list, of)
}

// wants says whether somebody wants events of a kind.
func (c *Conn) wants(kind EventKind) bool { return c.watch.Load().wants.Has(kind) }

// wantsOf says whether a request's event is to be made, given who follows it.
func (w *watch) wantsOf(kind EventKind, f followers) bool {
	if f == 0 {
		return w.all.Has(kind)
	}
	return w.wants.Has(kind)
}

// AskObserver asks the observer anew which events it wants: for those that can be switched
// on and off. Requests that have begun may have times of zero where they had not been
// wanted before. It does not block.
func (c *Conn) AskObserver() {
	if c.opts.Observer != nil {
		c.asking.Lock()
		defer c.asking.Unlock()
		c.watch.Store(newWatch(c.opts.Observer))
	}
}

// choose asks who wants to follow a request that begins, and says whether its beginning
// is to be shown to anybody.
func (w *watch) choose(ctx context.Context, c *Conn, role Role, channel, tag, typ uint64) (chosen followers, shown bool) {
	kind := EventCallBegin
	if role == RoleServer {
		kind = EventRequestBegin
	}
	if !w.wants.Has(kind) {
		return 0, false
	}
	for _, o := range w.choosers {
		if o.wants.Has(kind) && o.chooser.Chooses(ctx, c, role, channel, tag, typ) {
			chosen |= o.bit
		}
	}
	return chosen, chosen != 0 || w.all.Has(kind)
}

// begin tells observers that a request begins. It returns the context of the request's
// further events, and who follows it.
func (c *Conn) begin(ctx context.Context, w *watch, e *Event, chosen followers) (context.Context, followers) {
	e.Conn = c
	var f followers
	for i := range w.list {
		o := &w.list[i]
		if !o.wants.Has(e.Kind) || o.chooser != nil && chosen&o.bit == 0 {
			continue
		}
		e.Followed = o.chooser != nil
		ctx = o.Begin(ctx, e)
		if e.Followed {
			f |= o.bit
		}
	}
	e.letGo()
	return ctx, f
}

// observe completes an event and hands it over. No lock is held. The caller has
// checked that somebody wants the kind.
func (c *Conn) observe(ctx context.Context, e *Event) {
	e.Conn = c
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	w := c.watch.Load()
	for i := range w.list {
		o := &w.list[i]
		switch {
		case !o.wants.Has(e.Kind):
		case e.listed && o.ends != nil:
		case o.chooser != nil && e.followers&o.bit == 0 && ofRequests.Has(e.Kind):
		default:
			o.Observe(ctx, e)
		}
	}
	e.letGo()
}

// eventPool has events to show of requests. They are few, whatever is in flight, and so
// stay in the caches of the processor.
var eventPool = sync.Pool{New: func() any { return &Event{pooled: true} }}

// newEvent returns an event of a request whose packet has no numbers yet. It is written
// field by field, since assigning a whole Event costs several times as much.
func newEvent(kind EventKind, payload int, f followers) *Event {
	e := eventPool.Get().(*Event)
	e.Kind, e.Time, e.Packet.Kind = kind, time.Time{}, KindRequest
	e.Outcome, e.Reason, e.Rejection = OutcomePending, ReasonNone, RejectNone
	e.Duration, e.Waited, e.Answered, e.Size = 0, 0, 0, 0
	e.begun, e.sent, e.remote = 0, nil, remote{}
	e.Followed, e.followers, e.listed, e.payload = f != 0, f, false, payload
	return e
}

// letGo gives the event back, if it is from there.
func (e *Event) letGo() {
	if e.pooled {
		e.Conn, e.Packet.Payload, e.Label, e.Err, e.sent = nil, nil, "", nil, nil
		eventPool.Put(e)
	}
}

// observePacket shows an event of a packet, if somebody wants to see it.
func (c *Conn) observePacket(ctx context.Context, kind EventKind, p *Packet) {
	if c.wants(kind) {
		c.observe(ctx, &Event{Kind: kind, Packet: *p})
	}
}
