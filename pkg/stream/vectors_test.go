package stream

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"testing"
)

// vectors is testdata/packets.json: recorded from the Python package. Numbers
// that may be large are decimal strings.
type vectors struct {
	Varints []struct {
		Value  string `json:"value"`
		Hex    string `json:"hex"`
		Fits64 bool   `json:"fits_64_bits"`
	} `json:"varints"`
	Packets   []packetVector    `json:"packets"`
	Malformed []malformedVector `json:"malformed"`
}

type packetVector struct {
	ID         string `json:"id"`
	IsRequest  bool   `json:"is_request"`
	Channel    string `json:"channel"`
	Tag        string `json:"tag"`
	Flags      string `json:"flags"`
	OK         bool   `json:"ok"`
	RespFlags  string `json:"response_flags"`
	Type       string `json:"rq_type"`
	PayloadHex string `json:"payload_hex"`
	PayloadGen *struct {
		Seed   uint32 `json:"seed"`
		Length int    `json:"length"`
	} `json:"payload_gen"`
	WireHex    string `json:"wire_hex"`
	WireHead   string `json:"wire_head_hex"`
	WireLength int    `json:"wire_length"`
	WireSHA256 string `json:"wire_sha256"`
	Fits64     bool   `json:"fits_64_bits"`
	Special    string `json:"special"`
}

type malformedVector struct {
	ID       string `json:"id"`
	BytesHex string `json:"bytes_hex"`
	Then     string `json:"then"`
	Required string `json:"required"`

	// Reference is what the Python package made of the bytes.
	Reference struct {
		Parse struct {
			Result   string `json:"result"`
			Consumed int    `json:"consumed"`
			Packet   string `json:"packet"`
		} `json:"parse"`
	} `json:"reference"`
}

func loadVectors(t testing.TB) vectors {
	t.Helper()
	text, err := os.ReadFile("testdata/packets.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Varints) == 0 || len(v.Packets) == 0 || len(v.Malformed) == 0 {
		t.Fatal("a list of vectors is empty")
	}
	return v
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// payload is the vector's payload; see "about" in the file for the generator.
func (v packetVector) payload(t testing.TB) []byte {
	if v.PayloadGen == nil {
		return unhex(t, v.PayloadHex)
	}
	b := make([]byte, v.PayloadGen.Length)
	x := v.PayloadGen.Seed
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// packet is the vector as a Packet. ok is false if a number is over 64 bits, so
// that it cannot even be written down as one.
func (v packetVector) packet(t testing.TB) (p Packet, ok bool) {
	ok = true
	number := func(s string) uint64 {
		if s == "" {
			return 0
		}
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			ok = false
		}
		return n
	}
	p = Packet{Channel: number(v.Channel), Tag: number(v.Tag), Payload: v.payload(t)}
	switch {
	case v.Special == "EOF":
		p.Kind = KindEOF
	case v.Special == "ERQ":
		p.Kind = KindEndRequests
	case v.IsRequest:
		p.Flags, p.Type = number(v.Flags), number(v.Type)
	default:
		p.Kind, p.OK, p.Flags = KindResponse, v.OK, number(v.RespFlags)
	}
	return p, ok
}

func TestVectorsVarints(t *testing.T) {
	for _, v := range loadVectors(t).Varints {
		wire := unhex(t, v.Hex)
		got, n, err := ConsumeUint(wire)
		if !v.Fits64 {
			if err == nil {
				t.Errorf("%s: read as %d, want an error", v.Value, got)
			}
			continue
		}
		if err != nil || n != len(wire) || strconv.FormatUint(got, 10) != v.Value {
			t.Errorf("%s: read %d, %d bytes, %v", v.Value, got, n, err)
		}
		if b := AppendUint(nil, got); !bytes.Equal(b, wire) {
			t.Errorf("%s: written as %x, want %x", v.Value, b, wire)
		}
		if uintLen(got) != len(wire) {
			t.Errorf("%s: length %d, want %d", v.Value, uintLen(got), len(wire))
		}
	}
}

func TestVectorsPackets(t *testing.T) {
	fitting := 0
	for _, v := range loadVectors(t).Packets {
		p, ok := v.packet(t)
		wire, err := p.AppendBinary([]byte("before"))
		if !v.Fits64 {
			if ok && err == nil {
				t.Errorf("%s: encoded, want it refused", v.ID)
			}
			if _, n, _, err := ParsePacket(unhex(t, v.WireHex), 0); err == nil || n != 0 {
				t.Errorf("%s: decoded, want it refused", v.ID)
			}
			continue
		}
		fitting++
		if err != nil {
			t.Errorf("%s: %v", v.ID, err)
			continue
		}
		wire = bytes.TrimPrefix(wire, []byte("before"))
		if sum := sha256.Sum256(wire); len(wire) != v.WireLength || hex.EncodeToString(sum[:]) != v.WireSHA256 {
			t.Errorf("%s: encoded as %d bytes, %.60x", v.ID, len(wire), wire)
		}
		if v.WireHex != "" && hex.EncodeToString(wire) != v.WireHex {
			t.Errorf("%s: encoded as %x, want %s", v.ID, wire, v.WireHex)
		}
		if !bytes.HasPrefix(wire, unhex(t, v.WireHead)) {
			t.Errorf("%s: begins with %.40x, want %s", v.ID, wire, v.WireHead)
		}
		got, n, _, err := ParsePacket(wire, 0)
		if err != nil || n != len(wire) || !got.Equal(p) {
			t.Errorf("%s: decoded as %v, %d bytes, %v", v.ID, got, n, err)
		}
	}
	if fitting < 300 {
		t.Errorf("only %d packet vectors were tried", fitting)
	}
}

// pythonString is the packet as the Python package describes it.
func pythonString(p Packet) string {
	isRequest, flags := "True", p.Flags
	if p.Kind == KindResponse {
		isRequest, flags = "False", p.Flags<<1
		if p.OK {
			flags |= 1
		}
	}
	return fmt.Sprintf("Packet(is_request=%s,channel=%d,tag=%d,flags=0x%02x,payload=b'%s')", isRequest, p.Channel, p.Tag, flags, p.Payload)
}

// What can be said of malformed vectors without a connection: what decodes has
// the fields and the size that the Python package saw, and decoding goes on
// behind it; what must not decode is an error at the offset of its packet.
func TestVectorsMalformed(t *testing.T) {
	next := Packet{Tag: 999983, Type: 7, Payload: []byte("next")}
	for _, v := range loadVectors(t).Malformed {
		t.Run(v.ID, func(t *testing.T) {
			wire := unhex(t, v.BytesHex)
			if v.Then != "end of stream" {
				wire = next.append(wire)
			}
			first, size, err := NewDecoder(bytes.NewReader(wire)).Decode()
			pe := (*ProtocolError)(nil)
			switch v.Required {
			case "error":
				if !errors.As(err, &pe) || pe.Offset != 0 || pe.Field == "" || pe.Problem == "" {
					t.Errorf("%v, %v; want a protocol error with its offset, field and problem", first, err)
				}
				return
			case "end of stream":
				if !errors.Is(err, io.EOF) {
					t.Errorf("%v, %v; want io.EOF", first, err)
				}
				return
			case "accept", "reject", "ignored", "end", "as ERQ", "either":
			default:
				t.Fatalf("unknown requirement %q", v.Required)
			}
			if err != nil {
				t.Fatalf("%v; want it decoded", err)
			}
			if size != v.Reference.Parse.Consumed || pythonString(first) != v.Reference.Parse.Packet {
				t.Errorf("decoded %d bytes as %s, want %d as %s", size, pythonString(first), v.Reference.Parse.Consumed, v.Reference.Parse.Packet)
			}
			if isEnd := first.Kind == KindEOF || first.Kind == KindEnd; isEnd != (v.Required == "end") {
				t.Errorf("decoded as %v, required: %s", first, v.Required)
			}
			if v.Required == "as ERQ" && first.Kind != KindEndRequests {
				t.Errorf("decoded as %v, want ERQ", first)
			}
			last := first
			for d := NewDecoder(bytes.NewReader(wire)); err == nil; {
				var p Packet
				if p, _, err = d.Decode(); err == nil {
					last = p
					last.Payload = bytes.Clone(p.Payload)
				}
			}
			if !errors.Is(err, io.EOF) || !last.Equal(next) {
				t.Errorf("the stream ends with %v and %v, want %v and io.EOF", last, err, next)
			}
		})
	}
}
