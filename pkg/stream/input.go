package stream

import "errors"

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

	packets, bytes int // parsed since they were last counted
	arrivals       []arrival
}

func (in *input) init(tr *transport) {
	in.tr, in.size = tr, minReadBuffer
	if tr.rawRead != nil {
		in.socket = newSocketReader(tr.rawRead, in.free, in.letGo)
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
	if in.buf == nil {
		in.buf = newBuffer(in.size)
	}
	return in.buf.b[in.end:cap(in.buf.b)]
}

// letGo gives the buffer back before a wait, unless bytes are in it.
func (in *input) letGo() {
	if in.start == in.end {
		in.buf.release()
		in.buf, in.start, in.end = nil, 0, 0
	}
}

// fill reads at least one byte. need is how many the next packet takes at the
// least; the buffer grows towards it by doubling, so that a length announced is
// no memory taken. The error may be io.EOF.
func (in *input) fill(need int) error {
	switch {
	case in.start == in.end:
		in.start, in.end = 0, 0
		if in.socket != nil || (in.buf != nil && cap(in.buf.b) > maxReadBuffer) {
			in.buf.release() // none is held while nothing comes
			in.buf = nil
		}
	case in.end == cap(in.buf.b) || in.start+need > cap(in.buf.b):
		rest := in.buf.b[in.start:in.end]
		if have := cap(in.buf.b); need > have {
			bigger := newBuffer(min(need, 2*have))
			copy(bigger.b[:len(rest)], rest)
			in.buf.release()
			in.buf = bigger
		} else {
			copy(in.buf.b[:cap(in.buf.b)], rest)
		}
		in.start, in.end = 0, len(rest)
	}
	n, err := in.read()
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
		return nil // an error will come again
	}
	return err
}

var errNoRead = errors.New("the stream returns neither bytes nor an error")

func (in *input) read() (n int, err error) {
	if in.socket != nil {
		n, err = in.socket.waitRead()
		if in.buf == nil { // it failed, so there is nothing in it
			in.free()
		}
		return n, err
	}
	for range 100 { // as bufio does with readers that give nothing
		if n, err = in.tr.r.Read(in.free()); n != 0 || err != nil {
			break
		}
	}
	return n, err
}

// keepRest leaves what was read past EOF to the next connection, if the stream
// can keep it.
func (in *input) keepRest() {
	if j := in.tr.joined; j != nil {
		j.rest = append(append([]byte(nil), in.unread()...), j.rest...)
	}
}

func (in *input) close() {
	in.buf.release()
	in.buf = nil
	in.start, in.end = 0, 0
}
