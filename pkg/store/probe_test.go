package store

import (
	"strings"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

func TestProbe(t *testing.T) {
	m := NewMemory(SHA256, 0)
	conn := served(t, NewService(m, Options{}))
	ask := func(p *Probe, n uint64) error {
		t.Helper()
		resp, err := conn.Call(t.Context(), p.Request(n))
		if err != nil {
			t.Fatalf("request %d: %v", n, err)
		}
		return p.Verify(resp)
	}
	for _, size := range []int{0, 3, 8, 1000} {
		const blocks = 5
		get, contains := NewProbe(SHA256, Get.Type, size, blocks), NewProbe(SHA256, Contains.Type, size, blocks)
		for _, p := range []*Probe{get, contains} {
			if err := ask(p, 1); err == nil || !strings.Contains(err.Error(), "not there") {
				t.Errorf("type %d before the blocks were added: %v", p.req.Type, err)
			}
		}
		before := m.Usage().Blocks
		add := NewProbe(SHA256, Add.Type, size, blocks)
		for n := range uint64(2 * blocks) {
			if err := ask(add, n); err != nil {
				t.Errorf("add block %d of %d bytes: %v", n, size, err)
			}
		}
		want := uint64(blocks)
		if size == 0 {
			want = 1
		}
		if got := m.Usage().Blocks - before; got != want {
			t.Errorf("%d blocks of %d bytes, want %d", got, size, want)
		}
		for n := range uint64(2 * blocks) {
			for _, p := range []*Probe{get, contains} {
				if err := ask(p, n); err != nil {
					t.Errorf("type %d, block %d of %d bytes: %v", p.req.Type, n, size, err)
				}
			}
		}
	}
	if err := ask(NewProbe(SHA256, Length.Type, 100, 1), 0); err != nil {
		t.Errorf("Length: %v", err)
	}
	// Answers that cannot be right.
	for typ, answer := range map[uint64]stream.Response{
		Add.Type: {Payload: []byte{1}}, Get.Type: {Flags: 1, Payload: []byte("x")}, Contains.Type: {Flags: 2},
	} {
		p := NewProbe(SHA256, typ, 8, 1)
		p.Request(0)
		if err := p.Verify(answer); err == nil {
			t.Errorf("type %d takes %+v for right", typ, answer)
		}
	}
}
