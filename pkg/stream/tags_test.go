package stream

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// tagModel runs the table beside a map.
type tagModel struct {
	t     *testing.T
	table tagTable[uint64]
	want  map[uint64]*uint64
}

func (m *tagModel) put(tag uint64) {
	v := tag
	m.table.put(tag, &v)
	m.want[tag] = &v
}

func (m *tagModel) take(tag uint64) {
	m.t.Helper()
	if got := m.table.get(tag); got != m.want[tag] {
		m.t.Fatalf("get %d: %v, want %v", tag, got, m.want[tag])
	}
	if got := m.table.take(tag); got != m.want[tag] {
		m.t.Fatalf("take %d: %v, want %v", tag, got, m.want[tag])
	}
	delete(m.want, tag)
}

func (m *tagModel) check() {
	m.t.Helper()
	if m.table.n != len(m.want) {
		m.t.Fatalf("%d in the table, want %d", m.table.n, len(m.want))
	}
	if got := maps.Collect(m.table.all); !maps.Equal(got, m.want) {
		m.t.Fatalf("the table has %v, want %v", got, m.want)
	}
	for tag := range m.want {
		if m.table.get(tag) != m.want[tag] {
			m.t.Fatalf("get %d gives another's", tag)
		}
	}
	if n := len(m.table.ring); n&(n-1) != 0 {
		m.t.Fatalf("a ring of %d", n)
	}
}

// Random operations with tags that ascend, one of which is never answered.
func TestTagTableModel(t *testing.T) {
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 3))
		m := &tagModel{t: t, want: make(map[uint64]*uint64)}
		next := uint64(firstTag)
		var open []uint64
		m.put(next) // very old in the end
		next++
		for step := range 30000 {
			fill := 0.5 + 0.3*float64((step/2000)%3-1) // grows, holds, shrinks
			switch {
			case r.Float64() < fill:
				if r.IntN(50) == 0 {
					next += r.Uint64N(1000) // tags of other kinds of request
				}
				m.put(next)
				open = append(open, next)
				next++
			case len(open) > 0:
				i := r.IntN(min(len(open), 30))
				m.take(open[i])
				open = slices.Delete(open, i, i+1)
			}
			if step%50 == 0 {
				m.take(next + r.Uint64N(1<<40)) // not there
				m.check()
			}
		}
		for _, tag := range open {
			m.take(tag)
		}
		if m.table.n != 1 || m.table.get(firstTag) == nil {
			t.Fatalf("the old one is gone: %+v", m.table)
		}
		m.take(firstTag)
		m.check()
		if len(m.table.ring) > maxIdleRing {
			t.Errorf("an empty table keeps a ring of %d", len(m.table.ring))
		}
	}
}

// A peer that chooses its tags to collide makes the table slower, not larger
// than the number of its requests.
func TestTagTableCollisions(t *testing.T) {
	m := &tagModel{t: t, want: make(map[uint64]*uint64)}
	const n = 5000
	for i := range uint64(n) {
		m.put(i << 40)
	}
	m.check()
	if len(m.table.ring) > 2*n || len(m.table.over) > n {
		t.Errorf("%d tags take a ring of %d and %d in a map", n, len(m.table.ring), len(m.table.over))
	}
	for i := range uint64(n) {
		m.take(i << 40)
	}
	m.check()
	if m.table.ring != nil || m.table.over != nil {
		t.Errorf("an empty table keeps %d and %d", len(m.table.ring), len(m.table.over))
	}
}

func TestTagTableClear(t *testing.T) {
	m := &tagModel{t: t, want: make(map[uint64]*uint64)}
	for _, tag := range []uint64{0, 1, 16, 1 << 63, 1<<64 - 1} {
		m.put(tag)
	}
	got := make(map[uint64]*uint64)
	for _, v := range m.table.clear() {
		got[*v] = v
	}
	if !maps.Equal(got, m.want) {
		t.Errorf("cleared %v, want %v", got, m.want)
	}
	clear(m.want)
	m.check()
	m.take(3) // an empty one
	m.put(5)
	m.check()
}
