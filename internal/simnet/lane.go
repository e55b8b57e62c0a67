package simnet

import (
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"time"
)

// lane is one direction of a stream.
type lane struct {
	profile Profile

	mu      sync.Mutex
	changed sync.Cond // woken at every change, and when a time has come for which somebody waits
	random  *rand.Rand

	bytes    []byte    // on their way, or arrived and not read
	arrivals []arrival // of all of them, in order
	written  int64     // in all
	gone     int64     // of those: read, or dropped
	idle     time.Time // when the line has sent everything
	finished bool      // nothing comes behind bytes
	end      time.Time // when that is known to the reader

	readErr, writeErr     error
	readLimit, writeLimit time.Time // deadlines
	heldUntil             time.Time
	vanish                bool
	corruptAt             int64 // counted as written is
	corruptMask           byte  // 0: nothing is corrupted
}

// segment is how many bytes arrive together where bandwidth is limited.
const segment = 1460

// arrival is when the bytes up to a count come that goes on from written.
type arrival struct {
	upTo int64
	at   time.Time
}

func newLane(p Profile, seed, stream uint64) *lane {
	l := &lane{profile: p, random: rand.New(rand.NewPCG(seed, stream))}
	l.changed.L = &l.mu
	return l
}

// change lets f change the lane, and wakes who waits for that.
func (l *lane) change(f func(*lane)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(l)
	l.changed.Broadcast()
}

// wait returns at a change, or when one of the times has come; zero times do not
// come. mu is held.
func (l *lane) wait(now time.Time, times ...time.Time) {
	for _, t := range times {
		if t.After(now) {
			defer time.AfterFunc(t.Sub(now), func() { l.change(func(*lane) {}) }).Stop()
		}
	}
	l.changed.Wait()
}

func (l *lane) read(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		now := time.Now()
		switch next := l.next(); {
		case l.readErr != nil:
			return 0, l.readErr
		case passed(l.readLimit, now):
			return 0, os.ErrDeadlineExceeded
		case l.heldUntil.After(now):
			l.wait(now, l.heldUntil, l.readLimit)
		case next.IsZero() || next.After(now):
			l.wait(now, next, l.readLimit)
		case len(l.bytes) == 0:
			return 0, io.EOF
		default:
			return l.take(b, now), nil
		}
	}
}

// next is when something comes for the reader, or zero.
func (l *lane) next() time.Time {
	if len(l.arrivals) > 0 {
		return l.arrivals[0].at
	}
	return l.end
}

// take moves bytes that have arrived to b. mu is held.
func (l *lane) take(b []byte, now time.Time) int {
	have := 0
	for _, a := range l.arrivals {
		if a.at.After(now) {
			break
		}
		have = int(a.upTo - l.gone)
	}
	n := copy(b[:min(len(b), l.chunk(len(b)))], l.bytes[:have])
	l.bytes = l.bytes[n:]
	l.gone += int64(n)
	for len(l.arrivals) > 0 && l.arrivals[0].upTo <= l.gone {
		l.arrivals = l.arrivals[1:]
	}
	if len(l.bytes) == 0 {
		l.bytes, l.arrivals = nil, nil
	}
	l.changed.Broadcast()
	return n
}

// chunk is how many bytes go at once, if there are n.
func (l *lane) chunk(n int) int {
	if l.profile.Chunk == 0 {
		return n
	}
	return min(n, 1+l.random.IntN(l.profile.Chunk))
}

func (l *lane) write(b []byte) (done int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		now := time.Now()
		room := len(b) - done
		if l.profile.Buffer > 0 {
			room = min(room, l.profile.Buffer-int(l.written-l.gone))
		}
		switch {
		case l.writeErr != nil:
			return done, l.writeErr
		case passed(l.writeLimit, now):
			return done, os.ErrDeadlineExceeded
		case done == len(b):
			return done, nil
		case l.heldUntil.After(now):
			l.wait(now, l.heldUntil, l.writeLimit)
		case room == 0:
			l.wait(now, l.writeLimit)
		default:
			n := l.chunk(room)
			if l.profile.Bandwidth > 0 {
				n = min(n, segment) // else a slow line would deliver nothing for long
			}
			l.put(b[done:done+n], now)
			done += n
		}
	}
}

// put sends bytes on their way. mu is held.
func (l *lane) put(b []byte, now time.Time) {
	p := &l.profile
	from := l.written
	l.written += int64(len(b))
	if l.vanish {
		return // never read: they fill the buffer
	}
	l.bytes = append(l.bytes, b...)
	if at := l.corruptAt - from; l.corruptMask != 0 && at >= 0 && at < int64(len(b)) {
		l.bytes[len(l.bytes)-len(b)+int(at)] ^= l.corruptMask
		l.corruptMask = 0
	}
	if l.idle.Before(now) {
		l.idle = now
	}
	if p.Bandwidth > 0 {
		l.idle = l.idle.Add(time.Duration(len(b)) * time.Second / time.Duration(p.Bandwidth))
	}
	l.arrive(l.written)
	l.changed.Broadcast()
}

// arrive notes when the bytes up to a count come, not before those in front of
// them. mu is held.
func (l *lane) arrive(upTo int64) {
	p := &l.profile
	at := l.idle.Add(p.Latency)
	if p.Jitter > 0 {
		at = at.Add(time.Duration(l.random.Int64N(int64(p.Jitter))))
	}
	if n := len(l.arrivals); n > 0 && !at.After(l.arrivals[n-1].at) {
		l.arrivals[n-1].upTo = upTo
		return
	}
	l.arrivals = append(l.arrivals, arrival{upTo, at})
}

// finish ends the lane behind what was written; err is for later writes. mu is held.
func (l *lane) finish(err error) {
	if l.finished {
		return
	}
	l.finished = true
	if l.writeErr == nil {
		l.writeErr = err
	}
	if l.vanish {
		return
	}
	if now := time.Now(); l.idle.Before(now) {
		l.idle = now
	}
	l.end = l.idle.Add(l.profile.Latency + l.profile.Jitter)
}

// failReads also drops what was not read. mu is held.
func (l *lane) failReads(err error) {
	if l.readErr == nil {
		l.readErr = err
	}
	l.bytes, l.arrivals, l.gone = nil, nil, l.written
}

func passed(limit, now time.Time) bool { return !limit.IsZero() && !now.Before(limit) }
