package stream

import (
	"context"
	"errors"
	"time"
)

// A handler's context ends before the connection's where the extension is agreed on: when
// the caller gives the request up or its time is over, and when the request has been
// answered. All that a request needs for that is made when somebody asks for it, so that
// quick handlers pay nothing.

var (
	errGivenUp  = errors.New("the caller has given the request up")
	errTooLate  = errors.New("the caller's time for the request is over")
	errAnswered = errors.New("the request has been answered")
)

// endedContext is the context of a request that has been answered.
var endedContext = func() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errAnswered)
	return ctx
}()

// ends says whether the request's context may end before the connection's.
func (s *scope) ends() bool { return s.conn().ext.has(FeatureCancel | FeatureMetadata) }

// inbound is the request, as long as it is not answered. mu is held.
func (s *scope) inbound() *inbound {
	r := s.of()
	if in := r.channel.serving.get(r.tag | uint64(s.tag)); in != nil && in.scope == s {
		return in
	}
	return nil
}

// ending returns the context that ends with the request, and makes it if need be.
func (s *scope) ending() context.Context {
	c := s.conn()
	c.mu.Lock()
	defer c.mu.Unlock()
	in := s.inbound()
	switch {
	case in == nil:
		return endedContext
	case in.ending != nil:
		return in.ending
	}
	ctx, cancel := context.WithCancelCause(c.base)
	in.ending, in.end = ctx, cancel
	if !in.deadline.IsZero() {
		var stop context.CancelFunc
		in.ending, stop = context.WithDeadlineCause(ctx, in.deadline, errTooLate)
		in.end = func(cause error) { cancel(cause); stop() }
	}
	c.ext.endings.Add(1)
	if in.givenUp {
		in.end(errGivenUp)
	}
	return in.ending
}

// parent is what the scope has values of.
func (s *scope) parent() context.Context {
	c := s.conn()
	if c.ext.endings.Load() == 0 {
		return c.base
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if in := s.inbound(); in != nil && in.ending != nil {
		return in.ending // so that contexts made of it know it for one of their own
	}
	return c.base
}

// endingErr is Err where the context may end.
func (s *scope) endingErr() error {
	c := s.conn()
	c.mu.Lock()
	defer c.mu.Unlock()
	in := s.inbound()
	switch {
	case in == nil:
		return context.Canceled
	case in.ending != nil:
		return in.ending.Err()
	case in.givenUp:
		return context.Canceled
	case in.late():
		return context.DeadlineExceeded
	}
	return c.base.Err()
}

// late says whether the caller's time is over.
func (in *inbound) late() bool { return !in.deadline.IsZero() && !time.Now().Before(in.deadline) }

// abandoned says why nobody waits for the answer any more, or nil.
func (c *Conn) abandoned(in *inbound) error {
	if !c.ext.has(FeatureCancel | FeatureMetadata) {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case in.givenUp:
		return errGivenUp
	case in.late():
		return errTooLate
	}
	return nil
}

// giveUp notes that the caller has given the request up, and returns what ends its
// context. mu is held, but not when that is called.
func (in *inbound) giveUp() (end func(error)) {
	in.givenUp = true
	if in.end == nil {
		return func(error) {}
	}
	return in.end
}

// requestContext is the context of [Observer.Begin], and below what that returns; and of
// requests with which something has travelled. The observer is not asked for what it is
// only about to decide.
type requestContext struct {
	*scope
	metadata *Metadata
	deadline time.Time
	begun    bool // Begin has returned
}

// Value is that of the scope, if Begin has returned.
func (r *requestContext) Value(key any) any {
	switch {
	case key == metadataKey{}:
		if r.metadata != nil {
			return r.metadata
		}
		return nil
	case r.begun || key == (requestKey{}):
		return r.scope.Value(key)
	}
	return r.base().Value(key)
}

// Deadline is the caller's, or that of Options.BaseContext if that comes first.
func (r *requestContext) Deadline() (time.Time, bool) {
	at, ok := r.scope.Deadline()
	if r.deadline.IsZero() || ok && at.Before(r.deadline) {
		return at, ok
	}
	return r.deadline, true
}
