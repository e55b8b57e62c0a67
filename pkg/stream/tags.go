package stream

// tagTable maps the tags of one direction of a channel to open requests. Tags
// ascend, so nearly all open ones lie close together: they live in a ring
// indexed by their low bits, and only those that collide with a much older one
// in a map. The zero value is ready to use.
type tagTable[T any] struct {
	ring []tagSlot[T] // length is a power of two
	over map[uint64]*T
	n    int
}

type tagSlot[T any] struct {
	tag uint64
	v   *T // nil: empty
}

// minRing is the first size; a ring over maxIdleRing is let go when it is empty.
const (
	minRing     = 4
	maxIdleRing = 1024
)

func (t *tagTable[T]) get(tag uint64) *T {
	if len(t.ring) > 0 {
		if s := &t.ring[tag&uint64(len(t.ring)-1)]; s.v != nil && s.tag == tag {
			return s.v
		}
	}
	return t.over[tag]
}

// put adds a tag that is not in the table.
func (t *tagTable[T]) put(tag uint64, v *T) {
	if t.n >= len(t.ring) {
		t.resize(max(minRing, 2*len(t.ring)))
	}
	t.n++
	if s := &t.ring[tag&uint64(len(t.ring)-1)]; s.v == nil {
		s.tag, s.v = tag, v
		return
	}
	if t.over == nil {
		t.over = make(map[uint64]*T)
	}
	t.over[tag] = v
}

// take removes a tag and returns what it stood for, nil if it is not there.
func (t *tagTable[T]) take(tag uint64) *T {
	if len(t.ring) == 0 {
		return nil
	}
	var v *T
	if s := &t.ring[tag&uint64(len(t.ring)-1)]; s.v != nil && s.tag == tag {
		v = s.v
		s.v = nil
	} else if v = t.over[tag]; v != nil {
		delete(t.over, tag)
	} else {
		return nil
	}
	t.n--
	if t.n == 0 && len(t.ring) > maxIdleRing {
		*t = tagTable[T]{}
	}
	return v
}

func (t *tagTable[T]) resize(n int) {
	old := *t
	*t = tagTable[T]{ring: make([]tagSlot[T], n)}
	for tag, v := range old.all {
		t.n++
		if s := &t.ring[tag&uint64(n-1)]; s.v == nil {
			s.tag, s.v = tag, v
		} else {
			if t.over == nil {
				t.over = make(map[uint64]*T)
			}
			t.over[tag] = v
		}
	}
}

// all ranges over the table in no order.
func (t *tagTable[T]) all(yield func(uint64, *T) bool) {
	for i := range t.ring {
		if s := &t.ring[i]; s.v != nil && !yield(s.tag, s.v) {
			return
		}
	}
	for tag, v := range t.over {
		if !yield(tag, v) {
			return
		}
	}
}

// clear empties the table and returns what was in it.
func (t *tagTable[T]) clear() []*T {
	vs := make([]*T, 0, t.n)
	for _, v := range t.all {
		vs = append(vs, v)
	}
	*t = tagTable[T]{}
	return vs
}
