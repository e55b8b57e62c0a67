package stream

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
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

// What can be said of malformed vectors without a connection.
func TestVectorsMalformed(t *testing.T) {
	for _, v := range loadVectors(t).Malformed {
		d := NewDecoder(bytes.NewReader(unhex(t, v.BytesHex)))
		var err error
		var kinds []Kind
		for err == nil {
			var p Packet
			if p, _, err = d.Decode(); err == nil {
				kinds = append(kinds, p.Kind)
			}
		}
		pe := (*ProtocolError)(nil)
		switch malformed := errors.As(err, &pe); v.Required {
		case "error":
			if !malformed {
				t.Errorf("%s: %v, %v; want a protocol error", v.ID, kinds, err)
			}
		case "end of stream", "accept", "reject", "ignored", "end", "as ERQ":
			if malformed {
				t.Errorf("%s: %v; want it decoded", v.ID, err)
			}
			if v.Required == "end" && kinds[0] != KindEOF && kinds[0] != KindEnd {
				t.Errorf("%s: %v, want an end", v.ID, kinds)
			}
			if v.Required == "as ERQ" && kinds[0] != KindEndRequests {
				t.Errorf("%s: %v, want ERQ", v.ID, kinds)
			}
		case "either":
		default:
			t.Errorf("%s: unknown requirement %q", v.ID, v.Required)
		}
	}
}

// The numbers beside those of the vectors, against arithmetic of another kind.
func TestUintAgainstBigInt(t *testing.T) {
	for bit := range 64 {
		for _, v := range []uint64{1<<bit - 1, 1 << bit, 1<<bit + 1} {
			var want []byte
			for n, group := new(big.Int).SetUint64(v), big.NewInt(128); ; {
				digit := new(big.Int)
				n.DivMod(n, group, digit)
				b := byte(digit.Uint64())
				if len(want) > 0 {
					b |= 0x80
				}
				want = append([]byte{b}, want...)
				if n.Sign() == 0 {
					break
				}
			}
			if got := AppendUint(nil, v); !bytes.Equal(got, want) {
				t.Errorf("%d: %x, want %x", v, got, want)
			}
		}
	}
}
