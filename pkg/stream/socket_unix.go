//go:build unix

package stream

import (
	"io"
	"syscall"
)

const haveRawSockets = true

// socketWriter writes to a socket without ever waiting. It belongs to whoever
// holds the write role. (An object of its own, so that a write allocates
// nothing.)
type socketWriter struct {
	raw     syscall.RawConn
	attempt func(fd uintptr) bool // w.write, bound once
	b       []byte
	n       int
	err     error
}

func newSocketWriter(raw syscall.RawConn) *socketWriter {
	w := &socketWriter{raw: raw}
	w.attempt = w.write
	return w
}

// tryWrite writes what the socket takes at once; n < len(b) without an error
// means that the socket is full.
func (w *socketWriter) tryWrite(b []byte) (n int, err error) {
	w.b, w.n, w.err = b, 0, nil
	err = w.raw.Write(w.attempt)
	if w.err != nil {
		err = w.err
	}
	w.b = nil
	return w.n, err
}

// write returns true always: whoever waits for the socket is somebody else.
func (w *socketWriter) write(fd uintptr) bool {
	for w.n < len(w.b) {
		n, err := syscall.Write(int(fd), w.b[w.n:])
		if n > 0 {
			w.n += n
		}
		switch err {
		case nil, syscall.EINTR:
		case syscall.EAGAIN:
			return true
		default:
			w.err = err
			return true
		}
	}
	return true
}

// socketReader waits for bytes without holding a buffer. It belongs to the
// reader.
type socketReader struct {
	raw     syscall.RawConn
	attempt func(fd uintptr) bool // r.read, bound once
	into    readBuffer
	polls   polls
	n       int
	at      moment // when that came; 0: nobody has looked
	err     error
}

func newSocketReader(raw syscall.RawConn, polls polls, into readBuffer) *socketReader {
	r := &socketReader{raw: raw, polls: polls, into: into}
	r.attempt = r.read
	return r
}

// handled notes how many packets were read.
func (r *socketReader) handled(packets int) { r.polls.handled(packets) }

// waitRead waits until bytes are there and reads once. at is when that was, if it was
// looked at. An end of the stream is io.EOF.
func (r *socketReader) waitRead() (n int, at moment, err error) {
	r.n, r.at, r.err = 0, 0, nil
	err = r.raw.Read(r.attempt)
	if r.err != nil {
		err = r.err
	}
	return r.n, r.at, err
}

// read returns false when there is nothing yet.
func (r *socketReader) read(fd uintptr) bool {
	b := r.into.free()
	n, nothing, err := readSocket(fd, b)
	if nothing {
		n, nothing, err = r.poll(fd, b)
	}
	switch {
	case nothing:
		r.into.letGo()
		return false
	case err != nil:
		r.err = err
	case n == 0:
		r.err = io.EOF
	default:
		r.n, r.at = n, r.polls.came()
	}
	return true
}

// poll asks again for a while, if polls says so.
func (r *socketReader) poll(fd uintptr, b []byte) (n int, nothing bool, err error) {
	times := r.polls.begin()
	if times == 0 {
		return 0, true, nil
	}
	begun := now()
	nothing = true
	for i := 1; nothing && i <= times; i++ {
		yield()
		n, nothing, err = readSocket(fd, b)
		if i%pollsALook == 0 && begun.until(now()) > maxPolling {
			break
		}
	}
	r.polls.end(!nothing)
	return n, nothing, err
}

// readSocket reads once; nothing says that no byte is there yet.
func readSocket(fd uintptr, b []byte) (n int, nothing bool, err error) {
	for {
		switch n, err = syscall.Read(int(fd), b); err {
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, true, nil
		default:
			return n, false, err
		}
	}
}
