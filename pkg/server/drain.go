package server

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// lingerSlack is what may pass, beyond the linger itself, until a connection
// that has sent its end is gone.
const lingerSlack = 500 * time.Millisecond

// ForcedError says that the server ended before everything it had accepted was
// answered.
type ForcedError struct {
	Requests    int // accepted and not answered
	Connections int // on which such requests were, or answers that could not leave
}

// Error returns one line.
func (e *ForcedError) Error() string {
	return fmt.Sprintf("forced to end with %d requests unanswered on %d connections", e.Requests, e.Connections)
}

// drain is one orderly end, step by step.
type drain struct {
	p       *PacketServer
	began   time.Time
	signals chan os.Signal // a signal that comes in these forces the end
	hurried bool           // one came
}

// stop ends the server: not ready, wait, accept no more, let requests finish,
// end connections, force what is left. Its time is bounded by the sum of the
// budgets, and by ctx. It returns a [*ForcedError] if requests were left
// unanswered.
func (p *PacketServer) stop(ctx context.Context) error {
	d := &drain{p: p, began: time.Now(), signals: make(chan os.Signal, 1)}
	signal.Notify(d.signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(d.signals)
	defer p.watching.Wait()
	defer p.force() // before that
	budget := p.budgets(ctx)

	d.step("not_ready", func() bool {
		p.health.drain(d.began)
		p.notify(daemon.SdNotifyStopping)
		return true
	})
	if budget.Delay > 0 {
		d.step("delay", func() bool { return !d.await(budget.Delay, []<-chan struct{}{nil}) && !d.hurried })
	}
	d.step("stop_accepting", p.stopListening)

	conns := p.conns.all() // complete: the accept loops have ended
	var sent, ended []<-chan struct{}
	for _, c := range conns {
		go p.end(p.forced, c)
		sent, ended = append(sent, c.sent), append(ended, c.ended)
	}
	orderly := d.step("in_flight", func() bool { return d.await(budget.Timeout, sent) }, zap.Int("connections", len(conns))) &&
		d.step("linger", func() bool { return d.await(budget.Linger+lingerSlack, ended) })
	var forced *ForcedError
	if !orderly {
		cut := unsent(conns)
		d.step("force", func() bool {
			p.force()
			d.hurried = false // a third signal ends this wait, too
			return d.await(forceTimeout, ended)
		})
		forced = unanswered(cut)
	}
	took := zap.Duration("took", time.Since(d.began))
	if forced != nil {
		p.log.Error("drained by force", took, zap.Int("unanswered_requests", forced.Requests), zap.Int("unanswered_connections", forced.Connections))
		return forced
	}
	p.log.Info("drained, everything accepted was answered", took)
	return nil
}

// budgets fits the steps into what ctx leaves.
func (p *PacketServer) budgets(ctx context.Context) DrainConfig {
	budget := p.drain
	deadline, ok := ctx.Deadline()
	if !ok {
		return budget
	}
	left := time.Until(deadline) - p.reserve - forceTimeout
	short := budget.Delay+budget.Timeout+budget.Linger+lingerSlack > left
	take := func(d *time.Duration) {
		*d = max(0, min(*d, left))
		left -= *d
	}
	left -= lingerSlack
	take(&budget.Linger)
	take(&budget.Timeout)
	take(&budget.Delay)
	if short {
		p.log.Warn("the app's stop timeout is shorter than the drain budgets, which are cut; set fx.StopTimeout(Config.StopTimeout())",
			zap.Duration("in_flight", budget.Timeout), zap.Duration("delay", budget.Delay))
	}
	return budget
}

// step runs one step and logs it with its time. Once a signal has come, the rest
// is skipped up to the force.
func (d *drain) step(name string, run func() (ok bool), fields ...zap.Field) bool {
	start := time.Now()
	ok := run()
	d.p.log.Info("drain", append(fields, zap.String("step", name), zap.Bool("complete", ok),
		zap.Duration("took", time.Since(start)))...)
	return ok
}

// await waits until all channels are closed. It gives up after a time, or at
// once when a signal has come.
func (d *drain) await(limit time.Duration, all []<-chan struct{}) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for _, one := range all {
		if d.hurried {
			return false
		}
		select {
		case <-one:
			continue
		default:
		}
		select {
		case <-one:
		case <-timer.C:
			return false
		case s := <-d.signals:
			d.hurried = true
			d.p.log.Warn("second signal, the end is forced", zap.Stringer("signal", s))
			return false
		}
	}
	return true
}

// stopListening closes the listeners and waits for the accept loops.
func (p *PacketServer) stopListening() bool {
	close(p.stopAccepting)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.listeners {
		if err := l.close(); err != nil {
			p.log.Warn("closing a listener failed", zap.Stringer("listener", l.addr), zap.Error(err))
		}
	}
	p.accepting.Wait()
	p.shaking.Wait() // handshakes have been cut short
	return true
}

// cutOff is a connection that is forced to end.
type cutOff struct {
	*connection
	unsent bool // answers wait to be sent
}

// unsent lists the connections whose end has not been sent.
func unsent(conns []*connection) (list []cutOff) {
	for _, c := range conns {
		select {
		case <-c.sent:
		default:
			list = append(list, cutOff{c, c.conn.Stats().SendQueued > 0})
		}
	}
	return list
}

// unanswered counts what a forced end has cut off, or returns nil.
func unanswered(list []cutOff) *ForcedError {
	var e ForcedError
	for _, c := range list {
		stats := c.conn.Stats()
		requests := stats.Unanswered // known when the connection has ended
		if c.conn.Reason() == stream.ReasonNone {
			requests = stats.Serving + stats.Queued
		}
		if requests > 0 || c.unsent {
			e.Requests += requests
			e.Connections++
		}
	}
	if e.Connections == 0 {
		return nil
	}
	return &e
}
