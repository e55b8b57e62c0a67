package stream

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// Decoder reads packets one by one from a byte stream. It is meant for tools
// that look at recorded streams; a [Conn] has a reader of its own. A Decoder is
// not safe for concurrent use.
type Decoder struct {
	// MaxPacket is the longest packet body in bytes that is read; zero means
	// DefaultMaxPacket. Set it before the first Decode.
	MaxPacket int

	r          io.Reader
	buf        []byte
	start, end int   // unread bytes are buf[start:end]
	offset     int64 // of buf[start] in the stream
	pending    error // came with bytes, counts when they have been used up
	err        error // what Decode returns from now on
}

// NewDecoder returns a decoder that reads from r with a buffer of its own, and
// so may read past the packets it has returned.
func NewDecoder(r io.Reader) *Decoder { return &Decoder{r: r} }

// Offset is the number of bytes before the next packet.
func (d *Decoder) Offset() int64 { return d.offset }

// Decode returns the next packet and its size in bytes with its length. The
// payload stays valid until the next call. At the end of the stream between
// packets the error is [io.EOF]; an end inside a packet or malformed bytes give
// a [*ProtocolError] with the offset of the packet. An EOF packet is returned
// like any other, and decoding may go on behind it.
func (d *Decoder) Decode() (Packet, int, error) {
	for d.err == nil {
		p, n, need, err := ParsePacket(d.buf[d.start:d.end], d.MaxPacket)
		if err != nil {
			d.fail(err)
			break
		}
		if n > 0 {
			d.start += n
			d.offset += int64(n)
			return p, n, nil
		}
		d.fill(need)
	}
	return Packet{}, 0, d.err
}

// fill makes room for at least one more byte and reads. The buffer grows with
// the bytes that really come, not with the length that a packet announces.
func (d *Decoder) fill(need int) {
	if d.start > 0 {
		d.end = copy(d.buf, d.buf[d.start:d.end])
		d.start = 0
	}
	if d.end == len(d.buf) {
		size := max(4096, min(need, 2*len(d.buf)))
		if size <= d.end {
			size = 2 * d.end
		}
		grown := make([]byte, size)
		copy(grown, d.buf[:d.end])
		d.buf = grown
	}
	n, err := d.read()
	if n > 0 {
		d.end += n
		d.pending = err
		return
	}
	if errors.Is(err, io.EOF) && d.end > d.start {
		err = &ProtocolError{
			Kind: ProtocolTruncated, Field: "packet",
			Problem: fmt.Sprintf("the stream ends inside it, after %d of at least %d bytes", d.end-d.start, need),
		}
	}
	d.fail(err)
}

// read returns bytes or an error, or both.
func (d *Decoder) read() (n int, err error) {
	if d.pending != nil {
		return 0, d.pending
	}
	for range maxEmptyReads {
		if n, err = d.r.Read(d.buf[d.end:]); n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

// maxEmptyReads is how often in a row a reader may give neither bytes nor an
// error, as in package bufio.
const maxEmptyReads = 100

func (d *Decoder) fail(err error) {
	if pe := (*ProtocolError)(nil); errors.As(err, &pe) {
		pe.Offset = d.offset
	}
	d.err = err
}

// Encoder writes packets to a byte stream through a buffer: Encode alone leaves
// a packet in the buffer, Flush sends all that is there. An Encoder is not safe
// for concurrent use.
type Encoder struct {
	under io.Writer
	w     *bufio.Writer
	buf   []byte
}

// NewEncoder returns an encoder that writes to w.
func NewEncoder(w io.Writer) *Encoder { return &Encoder{under: w, w: bufio.NewWriter(w)} }

// Encode queues one packet. It fails when a number of the packet does not fit
// the wire, and when an earlier write failed.
func (e *Encoder) Encode(p Packet) (err error) {
	if e.buf, err = p.AppendBinary(e.buf[:0]); err != nil {
		return err
	}
	_, err = e.w.Write(e.buf)
	return err
}

// Flush writes out what Encode queued, and flushes the writer underneath if it
// has a method Flush() error.
func (e *Encoder) Flush() error {
	if err := e.w.Flush(); err != nil {
		return err
	}
	if f, ok := e.under.(flusher); ok {
		return f.Flush()
	}
	return nil
}

// flusher is what buffered writers offer.
type flusher interface{ Flush() error }
