package stream

import (
	"context"
	"errors"
	"testing/synctest"
	"time"

	"github.com/pktsvc/pktsvc/internal/simnet"
)

var errBroken = errors.New("the link is broken")

// begin says that an end has begun, from which requests of both sides suffer.
func (m *model) begin() { m.over, m.sides[0].ending, m.sides[1].ending = true, true, true }

// reads gives a side bytes that its peer's engine has not written, if there is
// still a way.
func (s *modelSide) reads(b []byte) { _, _ = s.peer.link.Write(b) }

// cut says that the link does not carry everything any more.
func (m *model) cut() { m.begin(); m.broken = true }

// answerAll answers until no handler waits and nothing is queued for one.
func (m *model) answerAll() {
	for range 10_000 {
		waiting := 0
		for _, s := range m.sides {
			m.answerOK(s)
			synctest.Wait()
			m.lock(func() { waiting += len(s.held) })
		}
		if waiting == 0 {
			return
		}
	}
	m.rt.Fatal("there is always another request to answer")
}

// shutdown begins the orderly end of a side.
func (m *model) shutdown(s *modelSide, limit time.Duration) {
	m.begin()
	m.running++
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		_ = s.conn.Shutdown(ctx)
	}()
}

func (m *model) shutBothDown(*modelSide) {
	m.answerAll()
	for _, s := range m.sides {
		m.shutdown(s, time.Minute)
	}
}

func (m *model) shutOneDown(s *modelSide) {
	m.answerAll()
	m.shutdown(s, time.Minute)
	time.Sleep(DefaultDrainTimeout + 2*DefaultLinger)
}

func (m *model) shutDownInNoTime(s *modelSide) {
	m.shutdown(s, time.Millisecond)
	m.broken = true
	time.Sleep(time.Second)
}

func (m *model) endSending(s *modelSide) {
	m.begin()
	s.conn.EndSending()
}

func (m *model) closeConn(s *modelSide) {
	m.cut()
	s.conn.Close()
	s.link.Close() // as who closes a connection closes its stream
}

// hangUp ends the stream towards a side, between packets, when all is answered.
func (m *model) hangUp(s *modelSide) {
	m.answerAll()
	m.cut()
	s.peer.link.CloseWrite()
	synctest.Wait()
	m.shutdown(s, time.Minute)
}

func (m *model) breakReading(s *modelSide) {
	m.cut()
	s.link.FailReads(errBroken)
}

func (m *model) breakWriting(s *modelSide) {
	m.cut()
	s.link.FailWrites(errBroken)
	m.submit(s)
}

func (m *model) malformed(s *modelSide) {
	m.cut()
	s.reads([]byte{0})
}

func (m *model) oversize(s *modelSide) {
	m.cut()
	s.reads(AppendUint(nil, 1<<16+1))
}

// foreign is about the first bytes alone: it begins anew.
func (m *model) foreign(s *modelSide) {
	m.cut()
	near, far := simnet.Pair(0, simnet.Profile{}, simnet.Profile{})
	c, err := NewConn(near, Options{Observer: s, Handler: HandlerFunc(s.serve)})
	if err != nil {
		m.rt.Fatal(err)
	}
	m.lock(func() { s.opened-- }) // it is another connection than the one of the books
	if _, err := far.Write([]byte("GET / HTTP/1.1\r\n")); err != nil {
		m.rt.Fatal(err)
	}
	<-c.Done()
	m.lock(func() { s.closed-- })
	if c.Reason() != ReasonNotPackets {
		m.rt.Fatalf("HTTP ended as %v", c.Reason())
	}
}

func (m *model) truncated(s *modelSide) {
	m.cut()
	s.reads([]byte{100, 2, 2})
	s.peer.link.CloseWrite()
}

func (m *model) slowSender(s *modelSide) {
	m.cut()
	s.reads([]byte{100, 2, 2})
	time.Sleep(modelReadTimeout + time.Second)
}

func (m *model) slowConsumer(s *modelSide) {
	m.cut()
	s.link.Hold(modelMaxAge)
	m.submit(s)
	time.Sleep(modelWriteTimeout + time.Second)
}

// flood sends requests to a side whose answers nobody takes, when there is no
// memory.
func (m *model) flood(s *modelSide) {
	m.cut()
	m.starved = m.budget.Limit()
	m.budget.force(m.starved)
	s.link.Hold(modelMaxAge)
	var b []byte
	for tag := range uint64(500) {
		p := Packet{Tag: 1<<40 + tag, Type: 1 << 40}
		b = p.append(b)
	}
	s.reads(b)
	m.submit(s) // who awaits an answer is not slowed down, but rejects
}

func (m *model) growOld(*modelSide) {
	m.answerAll()
	m.begin()
	m.broken = true
	time.Sleep(modelMaxAge + time.Minute)
}

// finish ends everything and looks at the books.
func (m *model) finish() {
	for _, s := range m.sides {
		m.shutdown(s, time.Minute)
	}
	time.Sleep(2 * time.Minute)
	synctest.Wait()
	m.check()
	m.budget.giveBack(m.starved)
	for _, s := range m.sides {
		if !ended(s.conn.Done()) {
			m.rt.Fatalf("%s does not end: %+v", s.name, s.conn.Stats())
		}
		for _, r := range s.asked {
			if r.outcome == OutcomePending {
				m.rt.Fatalf("request %d of %s has no outcome at the end", r.id, s.name)
			}
		}
		stats := s.conn.Stats()
		if stats.InFlight != 0 || stats.Serving != 0 || stats.Queued != 0 || stats.QueuedBytes != 0 || stats.Paused {
			m.rt.Fatalf("%s at the end: %+v", s.name, stats)
		}
		m.lock(func() {
			if s.begun-len(s.asked) > s.ended || s.opened != 1 || s.closed != 1 {
				m.rt.Fatalf("the books of %s: %d begun, %d ended, %d opened, %d closed", s.name, s.begun, s.ended, s.opened, s.closed)
			}
		})
	}
	if n := m.budget.Used(); n != 0 {
		m.rt.Fatalf("%d bytes of the budget are taken at the end", n)
	}
	m.counts.programs++
}

// abandon ends a program that has failed in the middle, so that the next can run.
func (m *model) abandon() {
	for _, s := range m.sides {
		s.conn.Close()
	}
	synctest.Wait()
}
