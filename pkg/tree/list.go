package tree

import (
	"github.com/pktsvc/pktsvc/pkg/store"
)

// maxList is the longest block of references, in bytes. It never changes, as little
// as the sizes of chunks.
const maxList = 1 << 20

// list makes one reference of many blocks that follow one another: in levels of
// blocks that are lists of references. A list is stored after what it refers to, so
// that no store has one without the other. Of a list only what is not yet in a block
// of its own is held.
type list struct {
	sender  *sender
	sending []*outgoing // blocks at the end, not yet in a level
	levels  []level
}

// level is the references that are not in a list of the next level yet.
type level struct {
	block []byte // of them, encoded
	count int
	span  uint64
	last  store.Ref
}

// add appends a chunk of the data.
func (l *list) add(chunk []byte) error {
	out, err := l.sender.send(chunk)
	if err != nil {
		return err
	}
	l.sending = append(l.sending, out)
	for len(l.sending) > 0 {
		select {
		case <-l.sending[0].done:
			if err := l.settle(); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	return nil
}

// settle waits for the first block that is being sent and refers to it.
func (l *list) settle() error {
	out := l.sending[0]
	l.sending[0] = nil
	l.sending = l.sending[1:]
	if err := l.sender.stored(out); err != nil {
		return err
	}
	return l.refer(0, store.Ref{Span: uint64(out.size), Code: out.code}) //nolint:gosec // a length
}

// refer appends a reference to a level. When a list is full it is stored, and waited
// for: that is once in some gigabytes.
func (l *list) refer(at int, ref store.Ref) error {
	if at == len(l.levels) {
		l.levels = append(l.levels, level{})
	}
	encoded, err := ref.AppendBinary(nil)
	if err != nil {
		return err
	}
	if len(l.levels[at].block)+len(encoded) > maxList {
		if err := l.raise(at); err != nil {
			return err
		}
	}
	v := &l.levels[at]
	v.block = append(v.block, encoded...)
	v.count++
	v.span += ref.Span
	v.last = ref
	return nil
}

// raise stores the list of a level and refers to it in the next.
func (l *list) raise(at int) error {
	v := l.levels[at]
	out, err := l.sender.send(v.block)
	if err != nil {
		return err
	}
	if err := l.sender.stored(out); err != nil {
		return err
	}
	l.levels[at] = level{block: v.block[:0]}
	return l.refer(at+1, store.Ref{Indirect: true, Span: v.span, Code: out.code})
}

// end returns the reference to all the data, which are in the store then.
func (l *list) end() (store.Ref, error) {
	for len(l.sending) > 0 {
		if err := l.settle(); err != nil {
			return store.Ref{}, err
		}
	}
	for at := 0; at < len(l.levels); at++ {
		if at == len(l.levels)-1 && l.levels[at].count == 1 {
			return l.levels[at].last, nil
		}
		if err := l.raise(at); err != nil {
			return store.Ref{}, err
		}
	}
	return store.Ref{Type: store.RefLiteral}, nil // there are no data
}
