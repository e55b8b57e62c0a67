package stream

import (
	"bytes"
	"context"
	"errors"
	"io"
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
		if n > len(b) || len(p.Payload) > n {
			t.Fatalf("%x: %d bytes consumed, payload %d", b, n, len(p.Payload))
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
	read := func(r io.Reader) (packets []Packet, err error) {
		d := NewDecoder(r)
		d.MaxPacket = 1 << 16
		for {
			p, _, err := d.Decode()
			if err != nil {
				return packets, err
			}
			p.Payload = bytes.Clone(p.Payload)
			packets = append(packets, p)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		whole, err1 := read(bytes.NewReader(b))
		bytewise, err2 := read(iotest.OneByteReader(bytes.NewReader(b)))
		if err1.Error() != err2.Error() {
			t.Fatalf("%x: %v, byte by byte: %v", b, err1, err2)
		}
		if len(whole) != len(bytewise) {
			t.Fatalf("%x: %d packets, byte by byte %d", b, len(whole), len(bytewise))
		}
		for i := range whole {
			if !whole[i].Equal(bytewise[i]) {
				t.Fatalf("%x: packet %d is %v, byte by byte %v", b, i, whole[i], bytewise[i])
			}
		}
		if !errors.Is(err1, io.EOF) && !errors.As(err1, new(*ProtocolError)) {
			t.Fatalf("%x: untyped error %v", b, err1)
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
// the value that it encodes.
func FuzzMux(f *testing.F) {
	f.Add([]byte("\x01a\x02bc"))
	f.Add([]byte("\x00\x00"))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"))
	f.Add([]byte("\x81\x00"))
	mux := new(Mux)
	Method[fuzzPair, fuzzPair]{Type: 3, Name: "Pair"}.Handle(mux, func(_ context.Context, p fuzzPair) (fuzzPair, error) { return p, nil })
	f.Fuzz(func(t *testing.T, payload []byte) {
		resp, err := mux.Serve(context.Background(), Request{Type: 3, Payload: payload})
		if err != nil {
			if !errors.Is(err, errUndecodable) {
				t.Fatalf("%x: %v", payload, err)
			}
			return
		}
		var sent, back fuzzPair
		if err := sent.UnmarshalBinary(payload); err != nil {
			t.Fatalf("%x: answered, but it does not decode: %v", payload, err)
		}
		if err := back.UnmarshalBinary(resp.Payload); err != nil || !bytes.Equal(back.a, sent.a) || !bytes.Equal(back.b, sent.b) {
			t.Fatalf("%x: came back as %x, %v", payload, resp.Payload, err)
		}
	})
}
