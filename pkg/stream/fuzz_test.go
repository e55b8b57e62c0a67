package stream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/iotest"
)

// FuzzUint: what is read is written in the shortest form and read again as the
// same; nothing panics; a number that is refused is refused for its bytes alone.
func FuzzUint(f *testing.F) {
	for _, v := range loadVectors(f).Varints {
		f.Add(unhex(f, v.Hex))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, n, err := ConsumeUint(b)
		if err != nil {
			if n != 0 {
				t.Fatalf("%x: %d bytes consumed with an error", b, n)
			}
			return
		}
		short := AppendUint(nil, v)
		if len(short) > n {
			t.Fatalf("%x: %d written as %x", b, v, short)
		}
		if again, m, err := ConsumeUint(short); again != v || m != len(short) || err != nil {
			t.Fatalf("%x: %d read again as %d, %v", b, v, again, err)
		}
	})
}

// FuzzPacket: whatever parses can be encoded, and that form is stable.
func FuzzPacket(f *testing.F) {
	v := loadVectors(f)
	for i, p := range v.Packets {
		if i%10 == 0 && p.WireHex != "" {
			f.Add(unhex(f, p.WireHex))
		}
	}
	for _, m := range v.Malformed {
		f.Add(unhex(f, m.BytesHex))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, n, need, err := ParsePacket(b, 1<<20)
		if err != nil || n == 0 {
			if err == nil && need <= len(b) {
				t.Fatalf("%x: incomplete, but only %d bytes needed", b, need)
			}
			return
		}
		if n > len(b) || len(p.Payload) > n || (len(p.Payload) > 0 && &p.Payload[0] != &b[n-len(p.Payload)]) {
			t.Fatalf("%x: %d bytes consumed, payload %x is not the end of them", b, n, p.Payload)
		}
		wire, err := p.AppendBinary(nil)
		if err != nil {
			t.Fatalf("%x: %v does not encode: %v", b, p, err)
		}
		if len(wire) > n {
			t.Fatalf("%x: the shortest form is longer: %x", b, wire)
		}
		again, m, _, err := ParsePacket(wire, 1<<20)
		if err != nil || m != len(wire) || !again.Equal(p) {
			t.Fatalf("%x: %v became %v, %v", b, p, again, err)
		}
	})
}

// FuzzDecoder: a stream gives the same packets and the same end however it is
// cut into reads.
func FuzzDecoder(f *testing.F) {
	f.Add([]byte("\x10\x02\x82\x56\x02hello, world\x03\x01\x02\x00\x03\x00\x02\x00"))
	for _, m := range loadVectors(f).Malformed {
		f.Add(unhex(f, m.BytesHex))
	}
	read := func(r io.Reader) (packets []Packet, buffer int, err error) {
		d := NewDecoder(r)
		d.MaxPacket = 1 << 16
		for {
			p, _, err := d.Decode()
			if err != nil {
				return packets, cap(d.buf), err
			}
			p.Payload = bytes.Clone(p.Payload)
			packets = append(packets, p)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		whole, _, err := read(bytes.NewReader(b))
		if !errors.Is(err, io.EOF) && !errors.As(err, new(*ProtocolError)) {
			t.Fatalf("%x: untyped error %v", b, err)
		}
		for name, r := range map[string]io.Reader{
			"byte by byte":      iotest.OneByteReader(bytes.NewReader(b)),
			"in halves":         iotest.HalfReader(bytes.NewReader(b)),
			"end with the data": iotest.DataErrReader(bytes.NewReader(b)),
		} {
			packets, buffer, again := read(r)
			if again.Error() != err.Error() {
				t.Fatalf("%x: %v, %s: %v", b, err, name, again)
			}
			if !slices.EqualFunc(packets, whole, Packet.Equal) {
				t.Fatalf("%x: %v, %s: %v", b, whole, name, packets)
			}
			if buffer > max(4096, 2*len(b)) {
				t.Fatalf("%x: a buffer of %d bytes for %d, %s", b, buffer, len(b), name)
			}
		}
	})
}

// fuzzPair has two pieces of data and nothing behind them.
type fuzzPair struct{ a, b []byte }

func (p fuzzPair) AppendBinary(dst []byte) ([]byte, error) {
	return AppendData(AppendData(dst, p.a), p.b), nil
}

func (p *fuzzPair) UnmarshalBinary(payload []byte) error {
	a, n, err := ConsumeData(payload)
	if err != nil {
		return err
	}
	b, m, err := ConsumeData(payload[n:])
	if err != nil {
		return err
	}
	if n+m != len(payload) {
		return errors.New("bytes are left over")
	}
	*p = fuzzPair{bytes.Clone(a), bytes.Clone(b)}
	return nil
}

// FuzzMux: any payload to a typed request is either undecodable or comes back as
// the value that it encodes, by each of the ways in which a type is encoded.
func FuzzMux(f *testing.F) {
	f.Add([]byte("\x01a\x02bc"))
	f.Add([]byte("\x00\x00"))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"))
	f.Add([]byte("\x81\x00"))
	f.Add([]byte("\x02\x80\x05\x01"))
	mux := new(Mux)
	Method[fuzzPair, fuzzPair]{Type: 3, Name: "Pair"}.Handle(mux, func(_ context.Context, p fuzzPair) (fuzzPair, error) { return p, nil })
	Method[string, string]{Type: 4, Name: "Text"}.Handle(mux, func(_ context.Context, s string) (string, error) { return s, nil })
	Method[[]byte, []byte]{Type: 5, Name: "Bytes"}.Handle(mux, func(_ context.Context, b []byte) ([]byte, error) { return b, nil })
	Method[struct{}, struct{}]{Type: 6, Name: "Nothing"}.Handle(mux, func(context.Context, struct{}) (struct{}, error) { return struct{}{}, nil })
	Method[codecPoint, codecPoint]{Type: 7, Name: "Point"}.Handle(mux, func(_ context.Context, p codecPoint) (codecPoint, error) { return p, nil })
	f.Fuzz(func(t *testing.T, payload []byte) {
		before := bytes.Clone(payload)
		for typ := range uint64(9) {
			resp, err := mux.Serve(t.Context(), Request{Type: typ, Payload: payload})
			if !bytes.Equal(payload, before) {
				t.Fatalf("%x: type %d changed the payload to %x", before, typ, payload)
			}
			switch {
			case typ < 3 || typ == 8:
				if !errors.Is(err, errUnknownType) {
					t.Fatalf("%x: type %d: %v", payload, typ, err)
				}
			case errors.Is(err, errUndecodable):
				if typ == 4 || typ == 5 || (typ == 6 && len(payload) == 0) {
					t.Fatalf("%x: type %d takes any payload, but %v", payload, typ, err)
				}
			case typ == 7 && err != nil: // 13 does not encode
				if p := (codecPoint{}); p.UnmarshalBinary(payload) != nil || p.X != 13 {
					t.Fatalf("%x: %v", payload, err)
				}
			case err != nil:
				t.Fatalf("%x: type %d: %v", payload, typ, err)
			case typ == 4 || typ == 5 || typ == 6:
				if !bytes.Equal(resp.Payload, payload) || resp.Flags != 0 {
					t.Fatalf("%x: type %d: came back as %x, flags %d", payload, typ, resp.Payload, resp.Flags)
				}
			case typ == 3:
				var sent, back fuzzPair
				if sent.UnmarshalBinary(payload) != nil || back.UnmarshalBinary(resp.Payload) != nil ||
					!bytes.Equal(back.a, sent.a) || !bytes.Equal(back.b, sent.b) {
					t.Fatalf("%x: came back as %x", payload, resp.Payload)
				}
			case typ == 7:
				var sent, back codecPoint
				if sent.UnmarshalBinary(payload) != nil || back.UnmarshalBinary(resp.Payload) != nil || back != sent || resp.Flags != sent.Flags() {
					t.Fatalf("%x: came back as %x, flags %d", payload, resp.Payload, resp.Flags)
				}
			}
		}
	})
}
