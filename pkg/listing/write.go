package listing

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Entry is a packet with its place in a stream.
type Entry struct {
	Offset int64 // in bytes
	Size   int   // with the length, in bytes
	Packet stream.Packet
}

// Format appends an entry to dst as one line.
type Format func(dst []byte, e *Entry) []byte

// Write lists all packets of a stream. An EOF packet is listed like any other,
// and what follows it too. At malformed input it returns an error that names the
// offset and the cause, when all packets before have been written. It holds one
// packet at a time.
func Write(w io.Writer, d *stream.Decoder, format Format) error {
	out := bufio.NewWriter(w)
	var line []byte
	for {
		e := Entry{Offset: d.Offset()}
		var err error
		if e.Packet, e.Size, err = d.Decode(); err != nil {
			if werr := out.Flush(); werr != nil {
				return werr
			}
			return atOffset(err, e.Offset)
		}
		line = format(line[:0], &e)
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
}

// atOffset turns the end of the stream into nil, and adds the offset to errors
// that do not name it.
func atOffset(err error, offset int64) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	if pe := (*stream.ProtocolError)(nil); errors.As(err, &pe) {
		return err
	}
	return fmt.Errorf("reading the packet at byte %d: %w", offset, err)
}

// JSON is the [Format] for programs.
func JSON(dst []byte, e *Entry) []byte {
	p := &e.Packet
	dst = append(dst, `{"offset":`...)
	dst = strconv.AppendInt(dst, e.Offset, 10)
	dst = append(dst, `,"size":`...)
	dst = strconv.AppendInt(dst, int64(e.Size), 10)
	dst = append(dst, `,"kind":"`...)
	dst = append(dst, p.Kind.String()...)
	dst = append(dst, `","channel":`...)
	dst = strconv.AppendUint(dst, p.Channel, 10)
	dst = append(dst, `,"tag":`...)
	dst = strconv.AppendUint(dst, p.Tag, 10)
	dst = append(dst, `,"flags":`...)
	dst = strconv.AppendUint(dst, p.Flags, 10)
	switch p.Kind {
	case stream.KindRequest:
		dst = append(dst, `,"type":`...)
		dst = strconv.AppendUint(dst, p.Type, 10)
	case stream.KindResponse:
		dst = append(dst, `,"ok":`...)
		dst = strconv.AppendBool(dst, p.OK)
	}
	if name := extension(p); name != "" {
		dst = append(dst, `,"extension":"`...)
		dst = append(dst, name...)
		dst = append(dst, '"')
	}
	dst = append(dst, `,"payload_hex":"`...)
	dst = hex.AppendEncode(dst, p.Payload)
	return append(dst, "\"}\n"...)
}

// extension is what a packet of the extension is called: the kind of message, or answer;
// empty for all others.
func extension(p *stream.Packet) string {
	switch {
	case p.Channel != stream.ControlChannel:
	case p.Kind == stream.KindResponse:
		return "answer"
	default:
		if m, err := stream.ParseMessage(p); err == nil {
			return m.Kind.String()
		}
	}
	return ""
}

// shownBytes is how much of a payload Text shows.
const shownBytes = 48

// Text is the [Format] for people. It shows the beginning of the payload, as text
// if it is printable, else in hexadecimal digits; nothing in it can control a
// terminal.
func Text(dst []byte, e *Entry) []byte {
	p := &e.Packet
	dst = fmt.Appendf(dst, "%10d %9d  %-8s  channel=%d tag=%d", e.Offset, e.Size, p.Kind, p.Channel, p.Tag)
	switch p.Kind {
	case stream.KindRequest:
		dst = fmt.Appendf(dst, " type=%d", p.Type)
	case stream.KindResponse:
		dst = fmt.Appendf(dst, " ok=%t", p.OK)
	}
	if name := extension(p); name != "" {
		dst = fmt.Appendf(dst, " extension=%s", name)
	}
	if p.Flags != 0 {
		dst = fmt.Appendf(dst, " flags=%#x", p.Flags)
	}
	if n := len(p.Payload); n > 0 {
		dst = fmt.Appendf(dst, " payload=%dB ", n)
		dst = appendShown(dst, p.Payload)
	}
	return append(dst, '\n')
}

func appendShown(dst, payload []byte) []byte {
	head := payload[:min(len(payload), shownBytes)]
	if len(head) < len(payload) { // not through the middle of a character
		for i := 1; i < utf8.UTFMax && i < len(head); i++ {
			if c := head[len(head)-i]; utf8.RuneStart(c) {
				if !utf8.FullRune(head[len(head)-i:]) {
					head = head[:len(head)-i]
				}
				break
			}
		}
	}
	if printable(head) {
		dst = strconv.AppendQuote(dst, string(head))
	} else {
		dst = fmt.Appendf(dst, "%x", head)
	}
	if len(head) < len(payload) {
		dst = append(dst, "..."...)
	}
	return dst
}

func printable(text []byte) bool {
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if r == utf8.RuneError && n <= 1 || !unicode.IsPrint(r) && !unicode.IsSpace(r) {
			return false
		}
		text = text[n:]
	}
	return true
}
