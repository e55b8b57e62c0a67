package stream

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
)

// Kind tells what a packet is.
type Kind uint8

// The kinds of packet (specification, sections 3 and 4).
const (
	KindRequest     Kind = iota // asks; carries the application's request type
	KindResponse                // answers the request with the same channel and tag
	KindEOF                     // the sender sends nothing more
	KindEndRequests             // ERQ: the sender sends no more requests
	KindEnd                     // a request of wire type 0 that is neither EOF nor ERQ: malformed, ends receiving
)

var kindNames = [...]string{"request", "response", "eof", "erq", "end"}

// String returns the kind's name as the decode command prints it.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

const (
	tagEOF   = 0
	tagERQ   = 1
	firstTag = 2

	maxRequestFlags  = 1<<62 - 1
	maxResponseFlags = 1<<61 - 1
	maxRequestType   = 1<<64 - 2

	wordChannel = 1 << 0
	wordRequest = 1 << 1
)

// Packet is the unit of the protocol. The zero value is an empty request of
// type 0 with tag 0.
//
// A Packet that was read shares its payload with the buffer it was read from;
// who hands it out says how long that stays valid.
type Packet struct {
	Kind    Kind
	OK      bool   // responses: the request succeeded
	Channel uint64 // 0 for the default channel
	Tag     uint64 // names the request within its channel and direction
	Flags   uint64 // the application's flags; of a response without the ok bit
	Type    uint64 // requests: the application's request type, at most 2^64-2
	Payload []byte
}

// The two packets without an application's meaning.
var (
	packetEOF         = Packet{Kind: KindEOF, Tag: tagEOF}
	packetEndRequests = Packet{Kind: KindEndRequests, Tag: tagERQ}
)

// validate says whether the packet's numbers fit the wire.
func (p *Packet) validate() error {
	switch p.Kind {
	case KindResponse:
		if p.Flags > maxResponseFlags {
			return fmt.Errorf("response flags %#x are over %#x", p.Flags, uint64(maxResponseFlags))
		}
		return nil
	case KindEOF, KindEndRequests:
		return nil
	case KindRequest, KindEnd:
		if p.Flags > maxRequestFlags {
			return fmt.Errorf("request flags %#x are over %#x", p.Flags, uint64(maxRequestFlags))
		}
		if p.Kind == KindRequest && p.Type > maxRequestType {
			return fmt.Errorf("request type %d is over %d", p.Type, uint64(maxRequestType))
		}
		if p.Kind == KindEnd && p.Tag <= tagERQ && p.Channel == 0 && p.Flags == 0 && len(p.Payload) == 0 {
			return fmt.Errorf("a packet of kind %v with these fields is EOF or ERQ, name its kind %v or %v", KindEnd, KindEOF, KindEndRequests)
		}
		return nil
	default:
		return fmt.Errorf("unknown kind of packet %v", p.Kind)
	}
}

// AppendBinary appends the packet with its length to dst
// ([encoding.BinaryAppender]). It fails, with dst unchanged, when a number does
// not fit the wire.
func (p Packet) AppendBinary(dst []byte) ([]byte, error) {
	if err := p.validate(); err != nil {
		return dst, fmt.Errorf("encode packet: %w", err)
	}
	return p.append(dst), nil
}

// headerBytes is room for what stands before the payload; it is written from its end on,
// since a length is known only behind what it counts.
type headerBytes [maxHeaderBytes]byte

// maxHeaderBytes is the most that length, tag, flag word, channel and type take
// in the form append writes.
const maxHeaderBytes = 5 * 10

// put writes v, as AppendUint does, so that it ends before b[i], and returns where it
// begins.
func (b *headerBytes) put(i int, v uint64) int {
	i--
	b[i] = byte(v) & 0x7f
	for v >>= 7; v != 0; v >>= 7 {
		i--
		b[i] = byte(v) | 0x80
	}
	return i
}

// header writes all numbers but the length to the end of b, and returns where they begin.
// EOF and ERQ have fixed ones, whatever the packet's fields say.
func (p *Packet) header(b *headerBytes) int {
	i, tag, channel := len(b), p.Tag, p.Channel
	var word uint64
	switch p.Kind {
	case KindResponse:
		word = p.Flags << 3
		if p.OK {
			word |= 1 << 2
		}
	case KindEOF, KindEndRequests:
		tag, channel, word = tagEOF, 0, wordRequest
		if p.Kind == KindEndRequests {
			tag = tagERQ
		}
		i = b.put(i, 0)
	case KindEnd:
		word = p.Flags<<2 | wordRequest
		i = b.put(i, 0)
	default:
		word = p.Flags<<2 | wordRequest
		i = b.put(i, p.Type+1)
	}
	if channel != 0 {
		word |= wordChannel
		i = b.put(i, channel)
	}
	return b.put(b.put(i, word), tag)
}

// payload is what is sent of p.Payload: nothing with EOF and ERQ.
func (p *Packet) payload() []byte {
	if p.Kind == KindEOF || p.Kind == KindEndRequests {
		return nil
	}
	return p.Payload
}

// bodyLen is the number that is announced as the packet's length.
func (p *Packet) bodyLen() int {
	var b headerBytes
	return len(b) - p.header(&b) + len(p.payload())
}

// over returns the length of the packet if that is over a limit, else 0.
func (p *Packet) over(limit int) int {
	if len(p.Payload) <= limit-maxHeaderBytes {
		return 0
	}
	if n := p.bodyLen(); n > limit {
		return n
	}
	return 0
}

// append encodes a packet that was validated.
func (p *Packet) append(dst []byte) []byte {
	var b headerBytes
	i, payload := p.header(&b), p.payload()
	i = b.put(i, uint64(len(b)-i+len(payload)))
	return append(append(dst, b[i:]...), payload...)
}

// ParsePacket reads one packet from the beginning of b and returns it with the
// number of bytes it took. The packet's payload is a part of b, not a copy.
//
// When b holds only the beginning of a packet, n is 0, err is nil and need is
// the number of bytes of b that are needed at the least. Malformed input gives a
// [*ProtocolError]. Packets whose body is longer than limit bytes are refused as
// soon as their length can be read; limit 0 means [DefaultMaxPacket].
func ParsePacket(b []byte, limit int) (p Packet, n, need int, err error) {
	if limit <= 0 {
		limit = DefaultMaxPacket
	}
	n, need, err = p.parse(b, min(limit, math.MaxInt-maxUintBytes)) // so that the end can be counted
	return p, n, need, err
}

// parse is ParsePacket without its defaults. It writes to p only a whole packet.
func (p *Packet) parse(b []byte, limit int) (n, need int, err error) {
	size, head, err := ConsumeUint(b)
	if err != nil {
		if errors.Is(err, errUintShort) {
			return 0, len(b) + 1, nil
		}
		return 0, 0, &ProtocolError{Field: "length", Problem: err.Error()}
	}
	if size > uint64(limit) {
		return 0, 0, &ProtocolError{
			Field: "length", Kind: ProtocolOversize,
			Problem: fmt.Sprintf("a packet of %d bytes is announced, the limit is %d", size, limit),
		}
	}
	end := head + int(size)
	if end > len(b) {
		return 0, end, nil
	}
	if err := p.parseBody(b[head:end:end]); err != nil {
		return 0, 0, err
	}
	return end, 0, nil
}

// parseBody decodes the body of a packet, all that follows the length.
func (p *Packet) parseBody(body []byte) error {
	tag, n, err := ConsumeUint(body)
	if err != nil {
		return fieldError("tag", err)
	}
	body = body[n:]
	word, n, err := ConsumeUint(body)
	if err != nil {
		return fieldError("flag word", err)
	}
	body = body[n:]
	var channel uint64
	if word&wordChannel != 0 {
		if channel, n, err = ConsumeUint(body); err != nil {
			return fieldError("channel", err)
		}
		body = body[n:]
	}
	if word&wordRequest == 0 { // each field is set: a literal would be made beside p and copied
		p.Kind, p.OK, p.Channel, p.Tag, p.Flags, p.Type, p.Payload = KindResponse, word>>2&1 == 1, channel, tag, word>>3, 0, body
		return nil
	}
	wireType, n, err := ConsumeUint(body)
	if err != nil {
		return fieldError("request type", err)
	}
	body = body[n:]
	p.Kind, p.OK, p.Channel, p.Tag, p.Flags, p.Type, p.Payload = KindRequest, false, channel, tag, word>>2, wireType-1, body
	if wireType == 0 {
		p.Type = 0
		switch {
		case channel != 0 || p.Flags != 0 || len(body) != 0 || tag > tagERQ:
			p.Kind = KindEnd
		case tag == tagEOF:
			p.Kind = KindEOF
		default:
			p.Kind = KindEndRequests
		}
	}
	return nil
}

// fieldError says which number of a packet's body cannot be read.
func fieldError(name string, err error) error {
	if errors.Is(err, errUintShort) {
		return &ProtocolError{Field: name, Problem: "the body ends before or inside it"}
	}
	return &ProtocolError{Field: name, Problem: err.Error()}
}

// Equal reports whether p and q have the same fields and payload bytes. A nil
// payload equals an empty one.
func (p Packet) Equal(q Packet) bool {
	return p.Kind == q.Kind && p.OK == q.OK && p.Channel == q.Channel && p.Tag == q.Tag &&
		p.Flags == q.Flags && p.Type == q.Type && bytes.Equal(p.Payload, q.Payload)
}

// String describes the packet for logs: its kind, numbers, and the size of its
// payload, never the payload's bytes.
func (p Packet) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v channel=%d tag=%d", p.Kind, p.Channel, p.Tag)
	if p.Kind == KindRequest {
		fmt.Fprintf(&b, " type=%d", p.Type)
	}
	if p.Kind == KindResponse {
		fmt.Fprintf(&b, " ok=%t", p.OK)
	}
	if p.Flags != 0 {
		fmt.Fprintf(&b, " flags=%#x", p.Flags)
	}
	if len(p.Payload) > 0 {
		fmt.Fprintf(&b, " payload=%dB", len(p.Payload))
	}
	return b.String()
}
