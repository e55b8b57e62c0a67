package listing

import (
	"encoding/hex"
	"fmt"
	"io"
)

// HexReader reads the bytes that hexadecimal digits in another stream stand for.
// Whitespace between the digits is skipped.
type HexReader struct {
	r       io.Reader
	offset  int64 // of the next character
	digit   byte  // the first of a pair whose second has not come
	pending bool
	err     error
}

// NewHexReader returns a reader of the digits in r.
func NewHexReader(r io.Reader) *HexReader { return &HexReader{r: r} }

// Read fills b with decoded bytes. What is not a digit gives an error that names
// its offset in the text, after all bytes before it.
func (h *HexReader) Read(b []byte) (int, error) {
	n := 0
	for n == 0 && h.err == nil && len(b) > 0 {
		// At most a digit for each byte of b comes in, and two make one byte, so
		// decoding in place never overtakes reading.
		text, err := h.r.Read(b)
		n = h.decode(b, text)
		if h.err == nil && err != nil {
			h.err = err
			if err == io.EOF && h.pending {
				h.err = fmt.Errorf("hexadecimal text ends at character %d, in the middle of a byte", h.offset)
			}
		}
	}
	if n > 0 {
		return n, nil
	}
	return 0, h.err
}

// decode turns the first text characters of b into bytes at its beginning.
func (h *HexReader) decode(b []byte, text int) (n int) {
	for _, c := range b[:text] {
		switch c {
		case ' ', '\t', '\r', '\n', '\v', '\f':
			h.offset++
			continue
		}
		pair := [2]byte{'0', c}
		if h.pending {
			pair[0] = h.digit
		}
		var v [1]byte
		if _, err := hex.Decode(v[:], pair[:]); err != nil {
			h.err = fmt.Errorf("character %d of the hexadecimal text is %q, which is no digit", h.offset, c)
			return n
		}
		h.offset++
		if h.pending {
			b[n] = v[0]
			n++
		}
		h.digit, h.pending = c, !h.pending
	}
	return n
}
