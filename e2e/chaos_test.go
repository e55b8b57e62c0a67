package e2e

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

const terminated = syscall.SIGTERM

// A service is ended in order again and again while it is asked: whatever it has
// accepted is answered, and what it has not, another time.
func TestChaosTerm(t *testing.T) {
	l := newLedger(t, program{})
	c := callTo(t, new(callers), l)
	for range 5 {
		c.more(t, 2000, stream.OutcomeOK)
		l.restart(t)
	}
	c.more(t, 1000, stream.OutcomeOK)
	if by := c.stop(t, "TestChaosTerm", l); len(by) > 1 {
		t.Errorf("not all were answered: %v", by)
	}
	for id := range noted(t, l) {
		if a := c.asked[id]; a.outcome != stream.OutcomeOK {
			t.Errorf("request %d was served, but its answer is %v", id, a.outcome)
		}
	}
}

// A service is killed again and again.
func TestChaosKill(t *testing.T) {
	l := newLedger(t, program{})
	c := callTo(t, new(callers), l)
	for range 5 {
		c.more(t, 2000, stream.OutcomeOK)
		l.service.kill()
		l.start(t)
	}
	c.more(t, 1000, stream.OutcomeOK)
	if by := c.stop(t, "TestChaosKill", l); by[stream.OutcomeLost] == 0 {
		t.Error("nothing was in flight when the service was killed")
	}
}

// A service stands still for a while: deadlines hold, and it goes on as before.
func TestChaosStop(t *testing.T) {
	l := newLedger(t, program{})
	c := callTo(t, &callers{timeout: 300 * time.Millisecond}, l)
	for range 3 {
		c.more(t, 1000, stream.OutcomeOK)
		l.service.signal(t, syscall.SIGSTOP)
		c.more(t, 2*callersAtATime, stream.OutcomeDeadline)
		l.service.signal(t, syscall.SIGCONT)
	}
	c.more(t, 1000, stream.OutcomeOK)
	c.stop(t, "TestChaosStop", l)
	l.end(t, 0)
}

// Three services behind one client are restarted, one after the other. No call fails, and
// what may not be repeated is served once: what a service that ends does not serve, it
// tells.
func TestChaosRollingRestart(t *testing.T) {
	for name, idempotent := range map[string]bool{"repeatable": true, "not repeatable": false} {
		t.Run(name, func(t *testing.T) {
			ledgers := []*ledger{newLedger(t, program{}), newLedger(t, program{}), newLedger(t, program{})}
			c := callTo(t, &callers{idempotent: idempotent}, ledgers...)
			for _, l := range append(ledgers, ledgers...) {
				c.more(t, 1000, stream.OutcomeOK)
				l.restart(t)
			}
			c.more(t, 1000, stream.OutcomeOK)
			by := c.stop(t, "TestChaosRollingRestart", ledgers...)
			if len(by) > 1 {
				t.Errorf("not all were answered: %v", by)
			}
		})
	}
}

// File descriptors run out: who is connected is served, who comes is refused, and
// all is well when there are some again.
func TestChaosDescriptors(t *testing.T) {
	l := newLedger(t, program{files: 64})
	c := callTo(t, new(callers), l)
	c.more(t, 1000, stream.OutcomeOK)
	for round := range 3 {
		var held []net.Conn
		for range 150 {
			if nc, err := net.Dial("tcp", l.addr); err == nil {
				held = append(held, nc)
			}
		}
		c.more(t, 1000, stream.OutcomeOK)
		l.service.ready(t, l.service.url("/readyz"))
		for _, nc := range held {
			nc.Close()
		}
		other := callTo(t, &callers{from: uint64(round+1) << 32}, l)
		other.more(t, 100, stream.OutcomeOK)
		other.halt()
		other.running.Wait()
	}
	if by := c.stop(t, "TestChaosDescriptors", l); len(by) > 1 {
		t.Errorf("not all were answered: %v", by)
	}
	l.end(t, 0)
}

// A handler never returns: its request is listed, and the service ends all the same,
// within its limits, and says so.
func TestChaosHandlerThatNeverReturns(t *testing.T) {
	l := newLedger(t, program{}, "--drain-timeout", "1s", "--drain-serve", "500ms")
	conn := l.service.connect(t)
	call, err := conn.Submit(t.Context(), stream.Request{Type: typeNever, Payload: binary.BigEndian.AppendUint64(nil, 1)})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the request is listed", func() error {
		page, err := get(l.service.url("/requestz"))
		if err == nil && !strings.Contains(string(page), fmt.Sprintf("%d", call.Tag())) {
			err = fmt.Errorf("not in %s", page)
		}
		return err
	})
	begun := time.Now()
	l.end(t, 5)
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("it took %v to end", took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := call.Wait(ctx); call.Outcome() != stream.OutcomeLost {
		t.Errorf("its caller got %v", err)
	}
}
