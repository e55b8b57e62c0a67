package stream

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func TestBufferClasses(t *testing.T) {
	for _, c := range []struct{ size, cap int }{
		{0, 1 << 10}, {1, 1 << 10}, {1 << 10, 1 << 10}, {1<<10 + 1, 2 << 10}, {2 << 10, 2 << 10},
		{100_000, 128 << 10}, {1 << 20, 1 << 20}, {1<<20 + 1, 2 << 20}, {5_000_000, 8 << 20}, {32 << 20, 32 << 20}, {32<<20 + 1, 32<<20 + 1},
	} {
		b := newBuffer(c.size)
		if len(b.b) != 0 || cap(b.b) != c.cap {
			t.Errorf("newBuffer(%d): len %d, cap %d, want 0 and %d", c.size, len(b.b), cap(b.b), c.cap)
		}
		b.b = append(b.b, make([]byte, c.size)...)
		b.release()
	}
	(*buffer)(nil).release()
}

// Whatever capacity a buffer has when it is released, who gets it from the pool
// has the room that was asked for, and nobody else has the same bytes.
func TestBufferReuse(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var held []*buffer
	for range 20000 {
		size := r.IntN(1 << (5 + r.IntN(18)))
		b := newBuffer(size)
		if len(b.b) != 0 || cap(b.b) < size {
			t.Fatalf("newBuffer(%d): len %d, cap %d", size, len(b.b), cap(b.b))
		}
		switch r.IntN(4) {
		case 0: // of an odd capacity, which belongs to the class below
			b.b = b.b[: 0 : cap(b.b)-r.IntN(cap(b.b)/2)]
		case 1:
			b.b = nil
		}
		b.grow(1)
		b.b = append(b.b, byte(len(held)))
		if held = append(held, b); len(held) == 100 {
			for i, b := range held {
				if b.b[0] != byte(i) {
					t.Fatalf("buffer %d is another's, too", i)
				}
				b.release()
			}
			held = held[:0]
		}
	}
}

func TestBufferGrow(t *testing.T) {
	b := newBuffer(0)
	var want []byte
	for i := range 3000 {
		piece := bytes.Repeat([]byte{byte(i)}, i)
		before := cap(b.b)
		b.grow(len(piece))
		if cap(b.b)-len(b.b) < len(piece) {
			t.Fatalf("grow(%d): len %d, cap %d", len(piece), len(b.b), cap(b.b))
		}
		if cap(b.b) != before && cap(b.b) < 2*before {
			t.Fatalf("grow(%d): from %d to %d, copied too often", len(piece), before, cap(b.b))
		}
		b.b = append(b.b, piece...)
		want = append(want, piece...)
	}
	if !bytes.Equal(b.b, want) {
		t.Error("the bytes have changed")
	}
}
