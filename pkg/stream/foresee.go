package stream

import "context"

// Foreseer is a [Chooser] that knows beforehand which requests it will not choose. Where it
// is the only one who wants to see how requests begin, it is not asked about each of them.
type Foreseer interface {
	Chooser

	// Foresee returns how many requests are not chosen, from one on that is about to begin.
	// Of those of a peer (RoleServer) these are the ones that have tag and those right after
	// it; it is asked again about the next one, and Chooses if it says 0. Of calls,
	// which have no tag yet, these are the next ones in some order of theirs, and the one
	// behind them is chosen. What was foreseen holds until [Conn.AskObserver]. It is called
	// concurrently, and must not block.
	Foresee(c *Conn, role Role, channel, tag uint64) (unchosen uint64)

	// Decides is the key of a value that decides whether a request is chosen: about those
	// whose context has one, and those of peers with which metadata has come, Chooses is
	// asked whatever was foreseen. It always returns the same.
	Decides() (key any)
}

// foreseen is what a Foreseer has said: of the requests of a peer on a channel, where it
// belongs to the reader; or of those that use a call one after the other, so that callers
// who run at the same time need not share it.
type foreseen struct {
	of       *watch
	unchosen uint64 // how many more
	tag      uint64 // of the next one; not of calls
}

// foresees is a Foreseer that alone decides whether the beginning of a request is shown.
type foresees struct {
	Foreseer
	key any
	bit followers
}

// foreseerOf is the one for a kind of beginnings, or nil.
func (w *watch) foreseerOf(kind EventKind) *foresees {
	var only *foresees
	for i := range w.list {
		of := &w.list[i]
		if !of.wants.Has(kind) {
			continue
		}
		f, ok := of.chooser.(Foreseer)
		if !ok || only != nil {
			return nil
		}
		only = &foresees{f, f.Decides(), of.bit}
	}
	return only
}

// chooseCall is choose for a call. What was foreseen is kept with the call, which is used
// again for others.
func (w *watch) chooseCall(ctx context.Context, c *Conn, call *Call) (chosen followers, shown bool) {
	f := w.calls
	if f == nil || ctx.Value(f.key) != nil {
		return w.choose(ctx, c, RoleClient, call.channel, 0, call.typ)
	}
	seen := &call.foreseen
	if seen.of != w {
		seen.of, seen.unchosen = w, f.Foresee(c, RoleClient, call.channel, 0)
	}
	if seen.unchosen > 0 {
		seen.unchosen--
		return 0, false
	}
	seen.of = nil
	return f.bit, true
}

// chooseRequest is choose for a request of a peer, with which nothing has come. It runs on
// the reader.
func (w *watch) chooseRequest(c *Conn, ch *channel, p *Packet) (chosen followers, shown bool) {
	f, seen := w.requests, &ch.foreseen
	if f == nil {
		return w.choose(c.base, c, RoleServer, p.Channel, p.Tag, p.Type)
	}
	if seen.unchosen == 0 || seen.tag != p.Tag || seen.of != w {
		seen.of, seen.tag, seen.unchosen = w, p.Tag, 0
		if c.base.Value(f.key) == nil {
			seen.unchosen = f.Foresee(c, RoleServer, p.Channel, p.Tag)
		}
		if seen.unchosen == 0 {
			return w.choose(c.base, c, RoleServer, p.Channel, p.Tag, p.Type)
		}
	}
	seen.unchosen--
	seen.tag++
	return 0, false
}
