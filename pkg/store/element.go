package store

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// elements reads values from the beginning of rest, one after another. After
// the first error it reads zero values; end returns that error. What data
// returns is a part of the input.
type elements struct {
	rest []byte
	err  error
}

func (e *elements) fail(what string, err error) {
	if e.err == nil {
		e.err = fmt.Errorf("%s: %w", what, err)
	}
	e.rest = nil
}

// end returns the first error, which may be that something is left over.
func (e *elements) end() error {
	if e.err == nil && len(e.rest) > 0 {
		e.err = fmt.Errorf("%d bytes are left over", len(e.rest))
	}
	return e.err
}

func (e *elements) number(what string) uint64 {
	v, n, err := stream.ConsumeUint(e.rest)
	if err != nil {
		e.fail(what, err)
		return 0
	}
	e.rest = e.rest[n:]
	return v
}

func (e *elements) data(what string) []byte {
	data, n, err := stream.ConsumeData(e.rest)
	if err != nil {
		e.fail(what, err)
		return nil
	}
	e.rest = e.rest[n:]
	return data
}

var errNotUTF8 = errors.New("not UTF-8")

func (e *elements) text(what string) string {
	data := e.data(what)
	if !utf8.Valid(data) {
		e.fail(what, errNotUTF8)
		return ""
	}
	return string(data)
}

func (e *elements) bytes(what string, n int) []byte {
	if len(e.rest) < n {
		e.fail(what, fmt.Errorf("%d bytes, want %d", len(e.rest), n))
		return nil
	}
	b := e.rest[:n]
	e.rest = e.rest[n:]
	return b
}

func (e *elements) class() Class {
	v := e.number("hash class")
	if e.err == nil && v >= uint64(numClasses) {
		e.fail("hash class", fmt.Errorf("%w: number %d", ErrClass, v))
		return 0
	}
	return Class(v) //nolint:gosec // it is less than numClasses
}

func (e *elements) className() Class {
	name := e.text("name of the hash class")
	if e.err != nil {
		return 0
	}
	class, err := ParseClass(name)
	if err != nil {
		e.fail("name of the hash class", err)
	}
	return class
}

func (e *elements) code() Code {
	c := Code{class: e.class()}
	copy(c.hash[:], e.bytes("hash", c.class.Size()))
	if e.err != nil {
		return Code{}
	}
	return c
}

// float is a number in decimal digits.
func (e *elements) float(what string) float64 {
	text := e.text(what)
	if e.err != nil {
		return 0
	}
	// ParseFloat takes more than decimal digits: 0x1p4, 1_000, inf, nan.
	if strings.Trim(text, "0123456789.eE+-") != "" {
		e.fail(what, fmt.Errorf("%.40q is no decimal number", text))
		return 0
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		e.fail(what, err)
	}
	return v
}

// appendFloat writes the shortest decimal digits that read back as v, in the
// form that Python's repr gives (docs/STORE-PROTOCOL.md, section 2).
func appendFloat(dst []byte, v float64) []byte {
	format := byte('f')
	if size := math.Abs(v); size != 0 && (size < 1e-4 || size >= 1e16) {
		format = 'e'
	}
	text := strconv.FormatFloat(v, format, -1, 64)
	if format == 'f' && !strings.Contains(text, ".") {
		text += ".0"
	}
	return stream.AppendData(dst, text)
}
