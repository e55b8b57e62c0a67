package stream

import (
	"context"
	"fmt"
	"time"
)

// Metadata is what travels with a request between peers that have agreed on it
// ([FeatureMetadata]). Applications and observers may not change it.
type Metadata struct {
	Channel, Tag uint64 // of the request

	// Trace is the span of the caller in the binary form of W3C trace context (29 bytes),
	// or empty.
	Trace   []byte
	State   string // tracestate
	Baggage string // W3C baggage

	// Timeout is how long the caller waits, from when the request is sent; 0: for ever.
	Timeout time.Duration
}

var errLongMetadata = fmt.Errorf("it has more than %d bytes", maxMetadata)

// traceSize is how long a trace is, and maxMetadata what metadata may have, in bytes:
// baggage of the length that W3C asks for, and a tracestate beside it. What is longer is
// left out by whoever would send it.
const (
	traceSize   = 29
	maxState    = 512
	maxBaggage  = 8192
	maxMetadata = 10 << 10
)

// Carrier is an [Observer] that has something to send along with calls.
type Carrier interface {
	Observer

	// Carry fills in what is to travel with a call, once Begin has returned ctx. It is
	// called only where the peer takes metadata, concurrently, and must not block.
	Carry(ctx context.Context, m *Metadata)
}

type metadataKey struct{}

// MetadataFromContext returns what has travelled with a request, for its handler and for
// observers: the ctx of Begin and of Chooses has it, too. Nil: nothing has.
func MetadataFromContext(ctx context.Context) *Metadata {
	m, _ := ctx.Value(metadataKey{}).(*Metadata)
	return m
}

// size is how many bytes of memory are counted for it.
func (m *Metadata) size() int {
	if m == nil {
		return 0
	}
	return len(m.Trace) + len(m.State) + len(m.Baggage)
}

// bounded leaves out what is too long, or no trace.
func (m *Metadata) bounded() {
	if len(m.Trace) != traceSize {
		m.Trace, m.State = nil, ""
	}
	if len(m.State) > maxState {
		m.State = ""
	}
	if len(m.Baggage) > maxBaggage {
		m.Baggage = ""
	}
}

func (m *Metadata) append(b []byte) []byte {
	b = AppendUint(AppendUint(b, m.Channel), m.Tag)
	field := func(number uint64, value string) {
		if value != "" {
			b = append(AppendUint(AppendUint(b, number), uint64(len(value))), value...)
		}
	}
	field(fieldTrace, string(m.Trace))
	field(fieldState, m.State)
	field(fieldBaggage, m.Baggage)
	if m.Timeout > 0 {
		field(fieldTimeout, string(AppendUint(nil, max(1, micros(m.Timeout)))))
	}
	return b
}

func parseMetadata(b []byte) (*Metadata, error) {
	f := fields{b: b}
	m := &Metadata{Channel: f.number(), Tag: f.number()}
	if len(b) > maxMetadata {
		return nil, errLongMetadata
	}
	for len(f.b) > 0 && f.err == nil {
		number := f.number()
		value := f.bytes(f.number())
		switch number {
		case fieldTrace:
			m.Trace = append([]byte(nil), value...)
		case fieldState:
			m.State = string(value)
		case fieldBaggage:
			m.Baggage = string(value)
		case fieldTimeout:
			timeout := fields{b: value}
			m.Timeout = timeout.duration()
		}
	}
	m.bounded()
	return m, f.err
}

// carry is what is to travel with a call, nil for nothing, and the call's deadline, if
// it has one.
func (c *Conn) carry(call *Call) (_ *Metadata, deadline time.Time) {
	carriers := c.watch.Load().carriers
	deadline, limited := call.ctx.Deadline()
	if !limited && len(carriers) == 0 {
		return nil, deadline
	}
	m := new(Metadata)
	for _, carrier := range carriers {
		carrier.Carry(call.ctx, m)
	}
	m.bounded()
	if !limited && m.size() == 0 {
		return nil, deadline
	}
	return m, deadline
}

// queueCarried queues what travels with a request, before it. mu is held.
func (c *Conn) queueCarried(m *Metadata, deadline time.Time, p *Packet) {
	m.Channel, m.Tag = p.Channel, p.Tag
	if !deadline.IsZero() {
		// Rounded up, as it is sent in microseconds: the peer's clock shall not be the first.
		m.Timeout = max(time.Until(deadline)+time.Microsecond-1, time.Microsecond)
	}
	c.queueMessage(&Message{Kind: MessageMetadata, Metadata: m})
}
