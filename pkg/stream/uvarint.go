package stream

import (
	"errors"
	"fmt"
	"math/bits"
)

// maxUintBytes bounds how many bytes one number may take on the wire. Ten hold
// any 64-bit value; the rest tolerates needless leading 0x80 bytes, which the
// protocol asks a reader to accept (specification, section 2).
const maxUintBytes = 16

// The ways in which a number can be unreadable.
var (
	errUintShort    = errors.New("the number is not finished")
	errUintTooLong  = fmt.Errorf("the number takes more than %d bytes", maxUintBytes)
	errUintOverflow = errors.New("the number is over 64 bits")
)

// AppendUint appends v to dst in the protocol's form of an unsigned integer:
// groups of 7 bits, most significant first, the top bit set in every byte but
// the last (BSUInt of the Python package). This is not the little-endian LEB128
// of encoding/binary. It writes the shortest form and may be called
// concurrently on different slices.
func AppendUint(dst []byte, v uint64) []byte {
	switch {
	case v < 1<<7:
		return append(dst, byte(v))
	case v < 1<<14:
		return append(dst, byte(v>>7)|0x80, byte(v)&0x7f)
	case v < 1<<21:
		return append(dst, byte(v>>14)|0x80, byte(v>>7)|0x80, byte(v)&0x7f)
	}
	n := uintLen(v)
	for i := n - 1; i > 0; i-- {
		dst = append(dst, byte(v>>(7*i))|0x80)
	}
	return append(dst, byte(v)&0x7f)
}

// uintLen is the number of bytes AppendUint writes for v.
func uintLen(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// ConsumeUint reads a number from the beginning of b and returns it with the
// number of bytes it took. Needless leading 0x80 bytes are accepted. An
// unfinished number, one over 64 bits, or one of more than 16 bytes is an
// error; n is 0 then.
func ConsumeUint(b []byte) (v uint64, n int, err error) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), 1, nil
	}
	for i, c := range b {
		if i == maxUintBytes {
			return 0, 0, errUintTooLong
		}
		if v>>57 != 0 {
			return 0, 0, errUintOverflow
		}
		v = v<<7 | uint64(c&0x7f)
		if c < 0x80 {
			return v, i + 1, nil
		}
	}
	if len(b) >= maxUintBytes {
		return 0, 0, errUintTooLong
	}
	return 0, 0, errUintShort
}

// AppendData appends the length of v in bytes and then v itself (BSData and
// BSString of the Python package).
func AppendData[T ~[]byte | ~string](dst []byte, v T) []byte {
	return append(AppendUint(dst, uint64(len(v))), v...)
}

// ConsumeData reads what AppendData wrote from the beginning of b. The returned
// data is a part of b, not a copy; n is the number of bytes it took with its
// length.
func ConsumeData(b []byte) (data []byte, n int, err error) {
	size, n, err := ConsumeUint(b)
	if err != nil {
		return nil, 0, fmt.Errorf("length of data: %w", err)
	}
	if size > uint64(len(b)-n) {
		return nil, 0, fmt.Errorf("data of %d bytes announced, %d are there", size, len(b)-n)
	}
	end := n + int(size)
	return b[n:end:end], end, nil
}
