package stream

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
)

var _ encoding.BinaryAppender = Packet{}

func TestPacketString(t *testing.T) {
	for want, p := range map[string]Packet{
		"request channel=0 tag=0 type=0":                         {},
		"request channel=5 tag=2 type=7 flags=0x55 payload=3B":   {Channel: 5, Tag: 2, Type: 7, Flags: 0x55, Payload: []byte("abc")},
		"response channel=0 tag=9 ok=true":                       {Kind: KindResponse, OK: true, Tag: 9},
		"response channel=0 tag=9 ok=false flags=0x1 payload=1B": {Kind: KindResponse, Tag: 9, Flags: 1, Payload: []byte{0}},
		"eof channel=0 tag=0":                                    packetEOF,
		"erq channel=0 tag=1":                                    packetEndRequests,
		"end channel=3 tag=0":                                    {Kind: KindEnd, Channel: 3},
		"Kind(9) channel=0 tag=18446744073709551615":             {Kind: 9, Tag: math.MaxUint64},
		"request channel=18446744073709551615 tag=0 type=18446744073709551614 flags=0x3fffffffffffffff": {Channel: math.MaxUint64, Type: maxRequestType, Flags: maxRequestFlags},
	} {
		if got := p.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if s := (Packet{Payload: []byte("secret")}).String(); strings.Contains(s, "secret") {
		t.Errorf("%q shows the payload", s)
	}
}

// Every field counts, and nothing else.
func TestPacketEqual(t *testing.T) {
	base := func() Packet {
		return Packet{Kind: KindResponse, OK: true, Channel: 1, Tag: 2, Flags: 3, Type: 4, Payload: []byte("abc")}
	}
	if p := base(); !p.Equal(base()) {
		t.Error("a packet differs from its copy")
	}
	for name, change := range map[string]func(*Packet){
		"kind":             func(p *Packet) { p.Kind = KindRequest },
		"ok":               func(p *Packet) { p.OK = false },
		"channel":          func(p *Packet) { p.Channel = 0 },
		"tag":              func(p *Packet) { p.Tag++ },
		"flags":            func(p *Packet) { p.Flags++ },
		"type":             func(p *Packet) { p.Type++ },
		"payload":          func(p *Packet) { p.Payload = []byte("abd") },
		"length":           func(p *Packet) { p.Payload = p.Payload[:2] },
		"absent payload":   func(p *Packet) { p.Payload = nil },
		"the other longer": func(p *Packet) { p.Payload = []byte("abcd") },
	} {
		p := base()
		change(&p)
		if p.Equal(base()) || base().Equal(p) {
			t.Errorf("%s: %v equals %v", name, p, base())
		}
	}
	if !(Packet{Payload: []byte{}}).Equal(Packet{}) {
		t.Error("an empty payload differs from none")
	}
}

// The largest numbers that fit come back; one more is refused, and what was in
// the slice stays.
func TestPacketNumberLimits(t *testing.T) {
	for _, tt := range []struct {
		name string
		p    Packet
		fits bool
	}{
		{"largest request", Packet{Channel: math.MaxUint64, Tag: math.MaxUint64, Type: math.MaxUint64 - 1, Flags: 1<<62 - 1}, true},
		{"request flags", Packet{Flags: 1 << 62}, false},
		{"request type", Packet{Type: math.MaxUint64}, false},
		{"largest response", Packet{Kind: KindResponse, OK: true, Channel: math.MaxUint64, Tag: math.MaxUint64, Flags: 1<<61 - 1}, true},
		{"response flags", Packet{Kind: KindResponse, Flags: 1 << 61}, false},
		{"end", Packet{Kind: KindEnd, Tag: 2}, true},
		{"end on a channel", Packet{Kind: KindEnd, Channel: 1}, true},
		{"end with a payload", Packet{Kind: KindEnd, Payload: []byte("x")}, true},
		{"end with flags", Packet{Kind: KindEnd, Flags: 1}, true},
		{"end with too many flags", Packet{Kind: KindEnd, Flags: 1 << 62}, false},
		{"end that is EOF", Packet{Kind: KindEnd}, false},
		{"end that is ERQ", Packet{Kind: KindEnd, Tag: 1}, false},
		{"unknown kind", Packet{Kind: KindEnd + 1}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wire, err := tt.p.AppendBinary([]byte("before"))
			if !tt.fits {
				if err == nil || string(wire) != "before" {
					t.Fatalf("encoded as %x, %v; want it refused", wire, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			wire = bytes.TrimPrefix(wire, []byte("before"))
			got, n, need, err := ParsePacket(wire, 0)
			if err != nil || n != len(wire) || need != 0 || !got.Equal(tt.p) {
				t.Errorf("%x: read as %v, %d bytes, %v; want %v", wire, got, n, err, tt.p)
			}
			if body, _, _ := ConsumeUint(wire); int(body) != tt.p.bodyLen() || len(wire)-tt.p.bodyLen() != uintLen(body) {
				t.Errorf("%x: bodyLen says %d", wire, tt.p.bodyLen())
			}
			if header := len(wire) - len(tt.p.Payload); header > maxHeaderBytes {
				t.Errorf("%d bytes before the payload, maxHeaderBytes says %d", header, maxHeaderBytes)
			}
		})
	}
}

// EOF and ERQ go out as they are, whatever else their packets say.
func TestPacketEndsHaveFixedFields(t *testing.T) {
	for kind, want := range map[Kind]string{KindEOF: "\x03\x00\x02\x00", KindEndRequests: "\x03\x01\x02\x00"} {
		wire, err := Packet{Kind: kind, Channel: 7, Tag: 9, Flags: math.MaxUint64, Payload: []byte("x")}.AppendBinary(nil)
		if err != nil || string(wire) != want {
			t.Errorf("%v: %x, %v", kind, wire, err)
		}
	}
}

// A beginning of a packet asks for more, never for more than the packet has; the
// whole gives it; what stands behind it is left alone.
func TestParsePacketGrows(t *testing.T) {
	p := Packet{Channel: 300, Tag: 70000, Flags: 5, Type: 9, Payload: bytes.Repeat([]byte("p"), 200)}
	wire := p.append(nil)
	for have := range len(wire) {
		got, n, need, err := ParsePacket(wire[:have], 0)
		if err != nil || n != 0 || need <= have || need > len(wire) || !got.Equal(Packet{}) {
			t.Fatalf("%d of %d bytes: %v, took %d, needs %d, %v", have, len(wire), got, n, need, err)
		}
		if have >= 2 && need != len(wire) {
			t.Fatalf("the length is known at %d bytes, but %d are asked for", have, need)
		}
	}
	got, n, _, err := ParsePacket(append(wire[:len(wire):len(wire)], 0xff), 0)
	if err != nil || n != len(wire) || !got.Equal(p) {
		t.Fatalf("%v, %d, %v", got, n, err)
	}
	if cap(got.Payload) != len(got.Payload) {
		t.Error("appending to the payload would overwrite the next packet")
	}
}

// The limit is looked at before the body is there, and holds for every size of
// int.
func TestParsePacketLimit(t *testing.T) {
	answer := Packet{Kind: KindResponse, OK: true, Tag: 2, Payload: make([]byte, 98)}
	wire := answer.append(nil) // a body of 100
	for _, tt := range []struct {
		name  string
		wire  []byte
		limit int
		kind  ProtocolKind
		fits  bool
	}{
		{"as long as may be", wire, 100, 0, true},
		{"one byte longer", wire, 99, ProtocolOversize, false},
		{"announced only", wire[:1], 99, ProtocolOversize, false},
		{"over the default", AppendUint(nil, DefaultMaxPacket+1), 0, ProtocolOversize, false},
		{"negative is the default", AppendUint(nil, DefaultMaxPacket+1), -1, ProtocolOversize, false},
		{"2^40", AppendUint(nil, 1<<40), 0, ProtocolOversize, false},
		{"2^64-1", AppendUint(nil, math.MaxUint64), 0, ProtocolOversize, false},
		{"2^63-1, without a limit", AppendUint(nil, math.MaxInt64), math.MaxInt, ProtocolOversize, false},
		{"70 bits", bytes.Repeat([]byte{0xff}, 10), 0, ProtocolMalformed, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, n, _, err := ParsePacket(tt.wire, tt.limit)
			pe := (*ProtocolError)(nil)
			if errors.As(err, &pe) == tt.fits {
				t.Fatalf("%d, %v", n, err)
			}
			if !tt.fits && (pe.Kind != tt.kind || pe.Field != "length" || n != 0) {
				t.Errorf("took %d bytes, kind %d, field %q, want kind %d of the length: %v", n, pe.Kind, pe.Field, tt.kind, err)
			}
		})
	}
	// The most that can be announced within a limit near the end of int.
	huge := AppendUint(nil, math.MaxInt-maxUintBytes)
	if _, n, need, err := ParsePacket(huge, math.MaxInt); err != nil || n != 0 || need != math.MaxInt-maxUintBytes+len(huge) {
		t.Errorf("took %d, needs %d, %v", n, need, err)
	}
}

// An error names the field that could not be read.
func TestParsePacketNamesField(t *testing.T) {
	for wire, field := range map[string]string{
		"\x00":             "tag",
		"\x01\x81":         "tag",
		"\x01\x02":         "flag word",
		"\x02\x02\x01":     "channel",
		"\x03\x02\x03\x05": "request type",
		"\x02\x02\x02":     "request type",
		"\x0b\x82\x80\x80\x80\x80\x80\x80\x80\x80\x00\x04": "tag",
	} {
		_, n, _, err := ParsePacket([]byte(wire), 0)
		pe := (*ProtocolError)(nil)
		if !errors.As(err, &pe) || pe.Field != field || pe.Kind != ProtocolMalformed || n != 0 {
			t.Errorf("%x: %v, want a problem with the %s", wire, err, field)
		}
	}
}

func TestPacketAllocations(t *testing.T) {
	p := Packet{Channel: 5, Tag: 1 << 40, Flags: 0x55, Type: 3, Payload: []byte("hello, world")}
	wire, buf := p.append(nil), make([]byte, 0, 128)
	for name, f := range map[string]func(){
		"append":       func() { buf = p.append(buf[:0]) },
		"AppendBinary": func() { buf, _ = p.AppendBinary(buf[:0]) },
		"ParsePacket":  func() { _, _, _, _ = ParsePacket(wire, 0) },
		"unfinished":   func() { _, _, _, _ = ParsePacket(wire[:9], 0) },
		"Equal":        func() { _ = p.Equal(p) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
}

func TestKindString(t *testing.T) {
	var names []string
	for k := range KindEnd + 2 {
		names = append(names, k.String())
	}
	if got, want := fmt.Sprint(names), "[request response eof erq end Kind(5)]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
