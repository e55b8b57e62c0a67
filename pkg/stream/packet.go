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

// head returns what stands before the payload. EOF and ERQ have fixed numbers,
// whatever the packet's fields say.
func (p *Packet) head() (tag, word, channel, wireType uint64, isRequest bool) {
	tag, channel = p.Tag, p.Channel
	switch p.Kind {
	case KindResponse:
		word = p.Flags << 3
		if p.OK {
			word |= 1 << 2
		}
	case KindEOF, KindEndRequests:
		tag, channel, word, isRequest = tagEOF, 0, wordRequest, true
		if p.Kind == KindEndRequests {
			tag = tagERQ
		}
	case KindEnd:
		word, isRequest = p.Flags<<2|wordRequest, true
	default:
		word, wireType, isRequest = p.Flags<<2|wordRequest, p.Type+1, true
	}
	if channel != 0 {
		word |= wordChannel
	}
	return tag, word, channel, wireType, isRequest
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
	tag, word, channel, wireType, isRequest := p.head()
	n := uintLen(tag) + uintLen(word) + len(p.payload())
	if channel != 0 {
		n += uintLen(channel)
	}
	if isRequest {
		n += uintLen(wireType)
	}
	return n
}

// append encodes a packet that was validated.
func (p *Packet) append(dst []byte) []byte {
	tag, word, channel, wireType, isRequest := p.head()
	dst = AppendUint(dst, uint64(p.bodyLen()))
	dst = AppendUint(dst, tag)
	dst = AppendUint(dst, word)
	if channel != 0 {
		dst = AppendUint(dst, channel)
	}
	if isRequest {
		dst = AppendUint(dst, wireType)
	}
	return append(dst, p.payload()...)
}

// maxHeaderBytes is the most that length, tag, flag word, channel and type take
// in the form append writes.
const maxHeaderBytes = 5 * 10

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
	limit = min(limit, math.MaxInt-maxUintBytes) // so that the end can be counted
	size, head, uerr := ConsumeUint(b)
	if uerr != nil {
		if errors.Is(uerr, errUintShort) {
			return Packet{}, 0, len(b) + 1, nil
		}
		return Packet{}, 0, 0, &ProtocolError{Field: "length", Problem: uerr.Error()}
	}
	if size > uint64(limit) {
		return Packet{}, 0, 0, &ProtocolError{
			Field: "length", Kind: ProtocolOversize,
			Problem: fmt.Sprintf("a packet of %d bytes is announced, the limit is %d", size, limit),
		}
	}
	end := head + int(size)
	if end > len(b) {
		return Packet{}, 0, end, nil
	}
	if err := parseBody(&p, b[head:end:end]); err != nil {
		return Packet{}, 0, 0, err
	}
	return p, end, 0, nil
}

// parseBody decodes the body of a packet, all that follows the length.
func parseBody(p *Packet, body []byte) error {
	field := func(name string) (uint64, error) {
		v, n, err := ConsumeUint(body)
		if err == nil {
			body = body[n:]
			return v, nil
		}
		if errors.Is(err, errUintShort) {
			return 0, &ProtocolError{Field: name, Problem: "the body ends before or inside it"}
		}
		return 0, &ProtocolError{Field: name, Problem: err.Error()}
	}
	tag, err := field("tag")
	if err != nil {
		return err
	}
	word, err := field("flag word")
	if err != nil {
		return err
	}
	var channel uint64
	if word&wordChannel != 0 {
		if channel, err = field("channel"); err != nil {
			return err
		}
	}
	if word&wordRequest == 0 {
		*p = Packet{Kind: KindResponse, OK: word>>2&1 == 1, Channel: channel, Tag: tag, Flags: word >> 3, Payload: body}
		return nil
	}
	wireType, err := field("request type")
	if err != nil {
		return err
	}
	*p = Packet{Kind: KindRequest, Channel: channel, Tag: tag, Flags: word >> 2, Type: wireType - 1, Payload: body}
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
