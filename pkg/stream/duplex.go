package stream

import "io"

// Join makes one stream of a reader and a writer, such as two pipes or a
// child's stdin and stdout; both may be the same.
//
// A joined stream can carry several connections one after another: bytes that
// one has read past its peer's EOF packet are kept for the next. Start the next
// only when Shutdown of the one before has returned, and only if both peers
// agree to go on (specification, section 12).
func Join(r io.Reader, w io.Writer) io.ReadWriter { return &duplex{r: r, w: w} }

type duplex struct {
	r    io.Reader
	w    io.Writer
	rest []byte // read by an earlier connection, past its EOF; owned by the reader
}

func (d *duplex) Read(b []byte) (int, error) {
	if len(d.rest) > 0 {
		n := copy(b, d.rest)
		d.rest = d.rest[n:]
		return n, nil
	}
	return d.r.Read(b)
}

func (d *duplex) Write(b []byte) (int, error) { return d.w.Write(b) }
