package stream

import (
	"errors"
	"sync/atomic"
	"time"
)

const (
	minReadBuffer = 4 << 10
	maxReadBuffer = 256 << 10
	// smallReads in a row, each using under a quarter of the buffer, halve it.
	smallReads = 64
)

// input is the reader's side of the stream: a buffer that grows with the bytes
// that come and, on sockets, is held only while there are some. It belongs to
// the reader alone.
type input struct {
	tr         *transport
	buf        *buffer
	start, end int           // unread bytes are buf.b[start:end]
	offset     int64         // of buf.b[start] in the stream
	size       int           // of the next buffer
	small      int           // reads in a row that used little of it
	socket     *socketReader // sockets only, else tr.r is read

	budget  *Budget // counts the buffer, but for the smallest
	charged int     // bytes that are counted now
	forced  bool    // a packet is awaited that must be read whatever it takes
	skip    int     // bytes to come of a packet that is not wanted

	timeout time.Duration // between two reads of one packet
	late    func()        // called when it has passed
	watch   *time.Timer   // nil until the first wait inside a packet
	watched bool          // the timer runs
	partial atomic.Int64  // bytes there of a packet whose rest is awaited; for others to read

	reads atomic.Uint64 // for others to see that something has come

	timed bool   // at is wanted
	at    moment // when the last bytes came

	packet         Packet // the last one; it is overwritten by the next
	packets, bytes int    // parsed since they were last counted
	pings          int    // of these packets, and answers to such: the connection is as idle as before
	arrivals       []arrival
	woken          bool // callers were, who are likely to ask again at once
	scopes         scopes
	aside          *inbound  // kept for the next request of the batch, or nil
	carried        *Metadata // of the next request
	served         *endList  // ends of requests that are not shown yet; nil: none
}

// readBuffer is where a socket is read into. The reader calls its methods.
type readBuffer interface {
	free() []byte // space that is not empty
	letGo()       // before it waits
}

func (in *input) init(tr *transport, o *Options, late func()) {
	in.tr, in.size, in.budget, in.timeout, in.late = tr, minReadBuffer, o.Budget, o.ReadTimeout, late
	if tr.rawRead != nil {
		in.socket = newSocketReader(tr.rawRead, newPolls(o.NoPolling), in)
	}
}

func (in *input) unread() []byte {
	if in.buf == nil {
		return nil
	}
	return in.buf.b[in.start:in.end:in.end]
}

// free returns the space to read into, which is not empty.
func (in *input) free() []byte {
	if in.buf == nil && !in.take(in.size) {
		in.buf = newBuffer(minReadBuffer)
	}
	return in.buf.b[in.end:cap(in.buf.b)]
}

// take moves the unread bytes to a buffer of at least n bytes, if the budget has
// one.
func (in *input) take(n int) bool {
	charge := 0
	if n > minReadBuffer {
		charge = bufferCap(n)
	}
	if in.forced {
		in.budget.force(charge)
	} else if !in.budget.take(charge) {
		return false
	}
	bigger := newBuffer(n)
	unread := copy(bigger.b[:cap(bigger.b)], in.unread())
	in.drop()
	in.buf, in.end, in.charged = bigger, unread, charge
	return true
}

// letGo gives the buffer back before a wait, unless bytes are in it. Then the
// rest of a packet is awaited, but not for ever.
func (in *input) letGo() {
	if in.start == in.end {
		in.drop()
	}
	in.awaitRest()
}

func (in *input) drop() {
	in.buf.release()
	in.buf, in.start, in.end = nil, 0, 0
	in.budget.giveBack(in.charged)
	in.charged = 0
}

// awaitRest starts the clock for the rest of a packet, if one has begun.
func (in *input) awaitRest() {
	n := in.end - in.start
	if n == 0 && in.skip == 0 {
		return
	}
	in.partial.Store(int64(max(n, 1)))
	in.watched = true
	if in.watch == nil {
		in.watch = time.AfterFunc(in.timeout, in.late)
	} else {
		in.watch.Reset(in.timeout)
	}
}

// restCame stops that clock.
func (in *input) restCame() {
	if in.watched {
		in.watched = false
		in.watch.Stop()
		in.partial.Store(0)
	}
}

// fill reads at least one byte. need is how many the next packet takes at the
// least; the buffer grows towards it by doubling, so that a length announced is
// no memory taken. The error may be io.EOF, or errNoMemory if the buffer is full
// and the budget has no larger one.
func (in *input) fill(need int) error {
	switch {
	case in.start == in.end:
		in.start, in.end = 0, 0
		if in.socket != nil || (in.buf != nil && cap(in.buf.b) > maxReadBuffer) {
			in.drop() // none is held while nothing comes
		}
	case in.end == cap(in.buf.b) || in.start+need > cap(in.buf.b):
		have := cap(in.buf.b)
		if need > have && in.take(min(need, 2*have)) {
			break
		}
		if in.end-in.start == have {
			return errNoMemory
		}
		in.end = copy(in.buf.b[:have], in.unread())
		in.start = 0
	}
	if in.socket == nil {
		in.awaitRest()
	}
	n, at, err := in.read()
	in.restCame()
	if n == 0 && err == nil {
		return errNoRead
	}
	room := cap(in.buf.b) - in.end
	in.end += n
	switch {
	case n == room:
		in.size, in.small = min(2*in.size, maxReadBuffer), 0
	case n > in.size/4:
		in.small = 0
	default:
		if in.small++; in.small == smallReads {
			in.size, in.small = max(in.size/2, minReadBuffer), 0
		}
	}
	if n > 0 {
		in.reads.Add(1)
		if !in.timed {
			at = 0
		} else if at == 0 {
			at = now()
		}
		in.at = at
		return nil // an error will come again
	}
	return err
}

var (
	errNoRead   = errors.New("the stream returns neither bytes nor an error")
	errNoMemory = errors.New("no memory for the packet")
)

// counted begins to count anew: a batch has ended.
func (in *input) counted() {
	if in.socket != nil {
		in.socket.handled(in.packets)
	}
	in.packets, in.bytes, in.pings = 0, 0, 0
}

// discard drops what has come of a packet that is not wanted.
func (in *input) discard() {
	n := min(in.skip, in.end-in.start)
	in.skip -= n
	in.start += n
	in.offset += int64(n)
	in.bytes += n
}

// read reads once. at is when that was, if it was looked at.
func (in *input) read() (n int, at moment, err error) {
	if in.socket != nil {
		n, at, err = in.socket.waitRead()
		if in.buf == nil { // it failed, so there is nothing in it
			in.free()
		}
		return n, at, err
	}
	for range 100 { // as bufio does with readers that give nothing
		if n, err = in.tr.r.Read(in.free()); n != 0 || err != nil {
			break
		}
	}
	return n, 0, err
}

// keepRest leaves what was read past EOF to the next connection, if the stream
// can keep it.
func (in *input) keepRest() {
	if j := in.tr.joined; j != nil {
		j.rest = append(append([]byte(nil), in.unread()...), j.rest...)
	}
}

func (in *input) close() {
	in.drop()
}
