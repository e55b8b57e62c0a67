package stream

import (
	"bytes"
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// bigUint is the form of a number, by arithmetic of another kind.
func bigUint(v *big.Int) (b []byte) {
	n, group, digit := new(big.Int).Set(v), big.NewInt(128), new(big.Int)
	for {
		n.DivMod(n, group, digit)
		d := byte(digit.Uint64())
		if len(b) > 0 {
			d |= 0x80
		}
		b = append([]byte{d}, b...)
		if n.Sign() == 0 {
			return b
		}
	}
}

func TestUintAgainstBigInt(t *testing.T) {
	var values []uint64
	for bit := range 64 {
		values = append(values, 1<<bit-1, 1<<bit, 1<<bit+1)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		values = append(values, r.Uint64()>>r.IntN(64))
	}
	for _, v := range append(values, math.MaxUint64) {
		want := bigUint(new(big.Int).SetUint64(v))
		got := AppendUint([]byte("ab"), v)
		if string(got[:2]) != "ab" || !bytes.Equal(got[2:], want) {
			t.Fatalf("%d: written as %x, want %x behind 6162", v, got, want)
		}
		if uintLen(v) != len(want) {
			t.Fatalf("%d: length %d, want %d", v, uintLen(v), len(want))
		}
		if back, n, err := ConsumeUint(append(want, 0x55)); back != v || n != len(want) || err != nil {
			t.Fatalf("%d: read as %d, %d bytes, %v", v, back, n, err)
		}
	}
}

// Everything of 65 to 112 bits is refused, however it begins.
func TestUintOver64Bits(t *testing.T) {
	for bit := 64; bit < 7*maxUintBytes; bit++ {
		v := new(big.Int).Lsh(big.NewInt(1), uint(bit))
		for _, b := range [][]byte{bigUint(v), bigUint(v.Add(v, big.NewInt(5)))} {
			if got, n, err := ConsumeUint(b); got != 0 || n != 0 || !errors.Is(err, errUintOverflow) {
				t.Errorf("2^%d: read as %d, %d bytes, %v", bit, got, n, err)
			}
		}
	}
}

func TestConsumeUint(t *testing.T) {
	ones := bytes.Repeat([]byte{0x80}, 40)
	for _, tt := range []struct {
		name string
		in   []byte
		v    uint64
		n    int
		err  error
	}{
		{"nothing", nil, 0, 0, errUintShort},
		{"unfinished", []byte{0x81}, 0, 0, errUintShort},
		{"unfinished, of nine bytes", ones[:9], 0, 0, errUintShort},
		{"zero, overlong", []byte{0x80, 0x00}, 0, 2, nil},
		{"big-endian, not little-endian", []byte{0x80, 0x01}, 1, 2, nil},
		{"as long as may be", append(ones[:15:15], 0x07), 7, 16, nil},
		{"a byte longer", append(ones[:16:16], 0x07), 0, 0, errUintTooLong},
		{"as long as may be, unfinished", ones[:16], 0, 0, errUintTooLong},
		{"one byte before, unfinished", ones[:15], 0, 0, errUintShort},
		{"the largest, overlong", append(ones[:6:6], 0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f), math.MaxUint64, 16, nil},
		{"just over the largest", []byte{0x82, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00}, 0, 0, errUintOverflow},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, n, err := ConsumeUint(tt.in)
			if v != tt.v || n != tt.n || !errors.Is(err, tt.err) {
				t.Errorf("%x: %d, %d, %v; want %d, %d, %v", tt.in, v, n, err, tt.v, tt.n, tt.err)
			}
		})
	}
}

func TestData(t *testing.T) {
	b := AppendData(AppendData([]byte("x"), "héllo"), bytes.Repeat([]byte{7}, 200))
	first, n, err := ConsumeData(b[1:])
	if err != nil || string(first) != "héllo" || n != 7 {
		t.Fatalf("%q, %d, %v", first, n, err)
	}
	second, m, err := ConsumeData(b[1+n:])
	if err != nil || !bytes.Equal(second, bytes.Repeat([]byte{7}, 200)) || 1+n+m != len(b) {
		t.Fatalf("%x, %d, %v", second, m, err)
	}
	if cap(first) != len(first) {
		t.Errorf("appending to the data would overwrite what follows it")
	}
	for _, bad := range []string{"", "\x81", "\x01", "\x03ab", "\x81\xff\xff\xff\xff\xff\xff\xff\xff\x7fab", "\x82\x80\x80\x80\x80\x80\x80\x80\x80\x00"} {
		if data, n, err := ConsumeData([]byte(bad)); err == nil || n != 0 || data != nil {
			t.Errorf("%x: read as %x, %d bytes", bad, data, n)
		}
	}
	if empty, n, err := ConsumeData([]byte{0, 1}); err != nil || n != 1 || len(empty) != 0 {
		t.Errorf("empty data: %x, %d, %v", empty, n, err)
	}
}

func TestUintAllocations(t *testing.T) {
	b := make([]byte, 0, 64)
	wire := AppendUint(nil, math.MaxUint64)
	data := AppendData(nil, "some data")
	for name, f := range map[string]func(){
		"AppendUint":  func() { b = AppendUint(AppendUint(AppendUint(b[:0], 3), 300), math.MaxUint64) },
		"ConsumeUint": func() { _, _, _ = ConsumeUint(wire) },
		"AppendData":  func() { b = AppendData(b[:0], "text") },
		"ConsumeData": func() { _, _, _ = ConsumeData(data) },
		"refusal":     func() { _, _, _ = ConsumeUint(wire[:5]) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
}
