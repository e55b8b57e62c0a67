package listing

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// lineOverhead is what a line may have besides the digits of the payload, in
// bytes; as [JSON] writes it, it has less than 300.
const lineOverhead = 4096

// Reader reads JSON lines of packets.
type Reader struct {
	scan    *bufio.Scanner
	line    int // number of the last line
	longest int // payload bytes
}

// NewReader returns a reader of lines whose payloads are at most maxPacket bytes
// long; 0 means [stream.DefaultMaxPacket].
func NewReader(r io.Reader, maxPacket int) *Reader {
	if maxPacket <= 0 {
		maxPacket = stream.DefaultMaxPacket
	}
	scan := bufio.NewScanner(r)
	scan.Buffer(nil, 2*maxPacket+lineOverhead)
	return &Reader{scan: scan, longest: maxPacket}
}

// Read returns the packet of the next line; blank lines are skipped. At the end
// the error is [io.EOF]; others name the line and what is wrong with it.
func (r *Reader) Read() (stream.Packet, error) {
	for r.scan.Scan() {
		r.line++
		line := bytes.TrimSpace(r.scan.Bytes())
		if len(line) == 0 {
			continue
		}
		p, err := Parse(line)
		if err != nil {
			return stream.Packet{}, fmt.Errorf("line %d: %w", r.line, err)
		}
		return p, nil
	}
	switch err := r.scan.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return stream.Packet{}, fmt.Errorf("line %d: it is longer than any packet with a body of %d bytes", r.line+1, r.longest)
	case err != nil:
		return stream.Packet{}, fmt.Errorf("line %d: %w", r.line+1, err)
	}
	return stream.Packet{}, io.EOF
}

// Encode writes the packets of all lines as the bytes of a stream, those before a
// line that is wrong too. Errors name the line, and w's are returned as they are.
func Encode(w io.Writer, r *Reader) error {
	enc := stream.NewEncoder(w)
	for {
		p, err := r.Read()
		if err == nil {
			if err = enc.Encode(p); err == nil {
				continue
			}
			err = fmt.Errorf("line %d: %w", r.line, err)
		}
		if ferr := enc.Flush(); ferr != nil {
			return ferr
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
}

// Parse makes the packet of one JSON line. The keys kind and, but for eof and
// erq, tag must be there, of a request type, of a response ok; channel, flags and
// payload_hex may be left out for 0, 0 and nothing; offset, size and extension are ignored.
// Any other key is an error, as is a key that the kind of packet does not have.
func Parse(line []byte) (stream.Packet, error) {
	var f fields
	if err := f.read(line); err != nil {
		return stream.Packet{}, err
	}
	return f.packet()
}

// fields are the values of a line. A pointer is nil if the key is not there.
type fields struct {
	kind                      *stream.Kind
	channel, tag, flags, typ  *uint64
	ok                        *bool
	payload                   []byte
	offset, size, payloadSeen bool
	extension                 bool
}

// read goes through the object key by key, since encoding/json would accept keys
// in other letter cases, keys that come twice, and null.
func (f *fields) read(line []byte) error {
	d := json.NewDecoder(bytes.NewReader(line))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return notObject(err)
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return notObject(err)
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return notObject(err)
		}
		key, _ := t.(string) // a key is always a string
		if err := f.set(key, raw); err != nil {
			return fmt.Errorf("%q: %w", key, err)
		}
	}
	if _, err := d.Token(); err != nil { // the closing brace
		return notObject(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows the object")
	}
	return nil
}

func notObject(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it is not a JSON object")
	}
	return fmt.Errorf("it is not a JSON object: %w", err)
}

var errTwice = errors.New("the key is there twice")

func (f *fields) set(key string, raw json.RawMessage) (err error) {
	var twice bool
	switch key {
	case "extension":
		twice, f.extension = f.extension, true
	case "offset":
		twice, f.offset = f.offset, true
	case "size":
		twice, f.size = f.size, true
	case "kind":
		twice = f.kind != nil
		f.kind, err = parseKind(raw)
	case "channel":
		twice = f.channel != nil
		f.channel, err = parseNumber(raw)
	case "tag":
		twice = f.tag != nil
		f.tag, err = parseNumber(raw)
	case "flags":
		twice = f.flags != nil
		f.flags, err = parseNumber(raw)
	case "type":
		twice = f.typ != nil
		f.typ, err = parseNumber(raw)
	case "ok":
		twice = f.ok != nil
		f.ok, err = parseBool(raw)
	case "payload_hex":
		twice, f.payloadSeen = f.payloadSeen, true
		f.payload, err = parseHex(raw)
	default:
		return errors.New("unknown key")
	}
	if twice {
		return errTwice
	}
	return err
}

func parseKind(raw []byte) (*stream.Kind, error) {
	for k := stream.KindRequest; k <= stream.KindEnd; k++ {
		if string(raw) == `"`+k.String()+`"` {
			return &k, nil
		}
	}
	return nil, fmt.Errorf(`it is %.40s, want "request", "response", "eof", "erq" or "end"`, raw)
}

func parseNumber(raw []byte) (*uint64, error) {
	n, err := strconv.ParseUint(string(raw), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("it is %.40s, want an integer from 0 to 2^64-1", raw)
	}
	return &n, nil
}

func parseBool(raw []byte) (*bool, error) {
	ok := string(raw) == "true"
	if !ok && string(raw) != "false" {
		return nil, fmt.Errorf("it is %.40s, want true or false", raw)
	}
	return &ok, nil
}

func parseHex(raw []byte) ([]byte, error) {
	if len(raw) < 2 || raw[0] != '"' {
		return nil, fmt.Errorf("it is %.40s, want a string of hexadecimal digits", raw)
	}
	digits := raw[1 : len(raw)-1]
	n, err := hex.Decode(digits, digits)
	if err != nil {
		return nil, err
	}
	return digits[:n], nil
}
