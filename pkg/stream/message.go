package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// MessageKind is the type of a request on the control channel.
type MessageKind uint64

// The kinds. Hello and ping are answered; for the others there is no response.
const (
	MessageHello MessageKind = iota
	MessageMetadata
	MessageCancel
	MessagePing
	MessageCredit
	MessageGoingAway
	MessageTimes
	numMessageKinds
)

var messageNames = [numMessageKinds]string{"hello", "metadata", "cancel", "ping", "credit", "going_away", "times"}

// String returns a short name.
func (k MessageKind) String() string {
	if k < numMessageKinds {
		return messageNames[k]
	}
	return fmt.Sprintf("MessageKind(%d)", uint64(k))
}

func (k MessageKind) feature() Features {
	return [...]Features{
		0, FeatureMetadata, FeatureCancel, FeaturePing, FeatureCredit, FeatureGoingAway, FeatureTimes,
	}[k]
}

// Message is a packet of the extension (docs/PROTOCOL.md, section 20). Which fields are
// set depends on Kind.
type Message struct {
	Kind MessageKind

	Hello        Hello
	Channel, Tag uint64 // cancel: the request that was given up
	Metadata     *Metadata
	Credit       uint64       // requests that may be in flight
	Last         []ChannelTag // going away: what is served still; empty: all that is sent
	Times        Times
	Ping         []byte
}

// Hello is what both peers say of themselves.
type Hello struct {
	Version  uint64
	Features Features
	Credit   uint64 // requests that may be in flight
	Nonce    uint64 // drawn at random
}

// ChannelTag names a request, or the last one of some.
type ChannelTag struct{ Channel, Tag uint64 }

// Times are those of the peer for a request.
type Times struct {
	Channel, Tag    uint64
	Queued, Handled time.Duration // until the handler started, and from then on
}

// Fields of metadata.
const (
	fieldTrace = iota + 1
	fieldState
	fieldBaggage
	fieldTimeout
)

// packet is the message as a packet.
func (m *Message) packet(tag uint64) Packet {
	return Packet{Kind: KindRequest, Channel: ControlChannel, Tag: tag, Type: uint64(m.Kind), Payload: m.append(nil)}
}

func (m *Message) append(b []byte) []byte {
	switch m.Kind {
	case MessageHello:
		return m.Hello.append(b)
	case MessageMetadata:
		return m.Metadata.append(b)
	case MessageCancel:
		return AppendUint(AppendUint(b, m.Channel), m.Tag)
	case MessageCredit:
		return AppendUint(b, m.Credit)
	case MessageGoingAway:
		for _, l := range m.Last {
			b = AppendUint(AppendUint(b, l.Channel), l.Tag)
		}
	case MessageTimes:
		t := &m.Times
		b = AppendUint(AppendUint(b, t.Channel), t.Tag)
		b = AppendUint(AppendUint(b, micros(t.Queued)), micros(t.Handled))
	case MessagePing:
		b = append(b, m.Ping...)
	}
	return b
}

func micros(d time.Duration) uint64 { return uint64(max(0, d.Microseconds())) }

func (h *Hello) append(b []byte) []byte {
	b = AppendUint(AppendUint(AppendUint(b, h.Version), uint64(h.Features)), h.Credit)
	return binary.BigEndian.AppendUint64(b, h.Nonce)
}

// fields reads numbers and bytes one after the other; after an error they are 0.
type fields struct {
	b   []byte
	err error
}

func (f *fields) number() (v uint64) {
	if f.err == nil {
		var n int
		if v, n, f.err = ConsumeUint(f.b); f.err == nil {
			f.b = f.b[n:]
		}
	}
	return v
}

var errShortMessage = errors.New("it is too short")

func (f *fields) bytes(n uint64) (b []byte) {
	if f.err == nil && n > uint64(len(f.b)) {
		f.err = errShortMessage
	}
	if f.err == nil {
		b, f.b = f.b[:n], f.b[n:]
	}
	return b
}

func (f *fields) duration() time.Duration {
	return time.Duration(min(f.number(), 1<<62/uint64(time.Microsecond))) * time.Microsecond
}

func parseHello(b []byte) (h Hello, err error) {
	f := fields{b: b}
	h.Version, h.Features, h.Credit = f.number(), Features(f.number()), f.number()
	if nonce := f.bytes(8); f.err == nil {
		h.Nonce = binary.BigEndian.Uint64(nonce)
	}
	return h, f.err // what follows is of a later version
}

// ParseMessage reads a request on the control channel. The error says that it is none of
// the extension. Nothing of the result is in the packet's payload.
func ParseMessage(p *Packet) (m Message, err error) {
	if p.Kind != KindRequest || p.Channel != ControlChannel || p.Type >= uint64(numMessageKinds) {
		return m, errors.New("stream: no message of the extension")
	}
	m.Kind = MessageKind(p.Type)
	f := fields{b: p.Payload}
	switch m.Kind {
	case MessageHello:
		m.Hello, f.err = parseHello(p.Payload)
	case MessageMetadata:
		m.Metadata, f.err = parseMetadata(p.Payload)
	case MessageCancel:
		m.Channel, m.Tag = f.number(), f.number()
	case MessageCredit:
		m.Credit = f.number()
	case MessageGoingAway:
		for len(f.b) > 0 && f.err == nil && len(m.Last) < maxLast {
			m.Last = append(m.Last, ChannelTag{f.number(), f.number()})
		}
	case MessageTimes:
		m.Times = Times{Channel: f.number(), Tag: f.number(), Queued: f.duration(), Handled: f.duration()}
	case MessagePing:
		if len(p.Payload) > maxPing {
			f.err = errors.New("it is too long")
		}
		m.Ping = append([]byte(nil), p.Payload...)
	}
	if f.err != nil {
		return Message{}, fmt.Errorf("stream: the %v of the extension cannot be read: %w", m.Kind, f.err)
	}
	return m, nil
}

const (
	maxPing = 64      // bytes
	maxLast = 1 << 10 // channels in a going-away
)

// ParseHelloAnswer reads the payload of an ok response to a hello.
func ParseHelloAnswer(payload []byte) (Hello, error) {
	h, err := parseHello(payload)
	if err != nil {
		return Hello{}, fmt.Errorf("stream: the answer to a hello cannot be read: %w", err)
	}
	return h, nil
}
