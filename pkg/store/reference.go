package store

import (
	"errors"
	"fmt"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// RefType says what a [Ref] stands for.
type RefType uint64

// The types, by their numbers on the wire.
const (
	RefBlock   RefType = iota // a block of the store
	RefRun                    // one byte, repeated
	RefLiteral                // bytes that the reference itself has
	RefPart                   // a part of what another reference stands for
)

// The bits of a reference's flags.
const (
	refIndirect = 1 << iota
	refHasType
	refHasTypeFlags
	refKnown = refIndirect | refHasType | refHasTypeFlags
)

// maxParts is how many references may be nested in each other by RefPart.
const maxParts = 8

// Ref is a reference to data: what a file or a directory consists of, and what
// an indirect block is a list of (docs/STORE-PROTOCOL.md, section 4).
type Ref struct {
	// Indirect: the block is a list of references, which together stand for
	// the data.
	Indirect bool
	Span     uint64 // bytes of data
	Type     RefType

	Code    Code   // RefBlock
	Run     byte   // RefRun
	Literal []byte // RefLiteral: Span bytes
	Offset  uint64 // RefPart: where the part begins
	Of      *Ref   // RefPart: in what

	TypeFlags uint64 // nothing is known of them; kept, unless 0
}

// AppendBinary appends the reference, with its length.
func (r Ref) AppendBinary(dst []byte) ([]byte, error) {
	b, err := r.append(nil, 0)
	return stream.AppendData(dst, b), err
}

func (r *Ref) append(b []byte, depth int) ([]byte, error) {
	if depth > maxParts {
		return nil, errTooNested
	}
	var flags uint64
	if r.Indirect {
		flags |= refIndirect
	}
	if r.Type != RefBlock {
		flags |= refHasType
	}
	if r.TypeFlags != 0 {
		flags |= refHasTypeFlags
	}
	b = stream.AppendUint(b, flags)
	b = stream.AppendUint(b, r.Span)
	if r.Type != RefBlock {
		b = stream.AppendUint(b, uint64(r.Type))
	}
	if r.TypeFlags != 0 {
		b = stream.AppendUint(b, r.TypeFlags)
	}
	switch r.Type {
	case RefBlock:
		return r.Code.AppendBinary(b)
	case RefRun:
		return append(b, r.Run), nil
	case RefLiteral:
		if uint64(len(r.Literal)) != r.Span {
			return nil, fmt.Errorf("a literal of %d bytes with a span of %d", len(r.Literal), r.Span)
		}
		return append(b, r.Literal...), nil
	case RefPart:
		if r.Of == nil {
			return nil, errors.New("a part of nothing")
		}
		of, err := r.Of.append(nil, depth+1)
		return stream.AppendData(stream.AppendUint(b, r.Offset), of), err
	default:
		return nil, fmt.Errorf("unknown type of reference %d", r.Type)
	}
}

// UnmarshalBinary reads one reference with its length, and nothing more.
func (r *Ref) UnmarshalBinary(b []byte) error {
	e := elements{rest: b}
	*r = e.ref(0)
	return e.end()
}

// ParseRefs reads the content of an indirect block.
func ParseRefs(block []byte) (refs []Ref, err error) {
	e := elements{rest: block}
	for len(e.rest) > 0 {
		refs = append(refs, e.ref(0))
	}
	if err := e.end(); err != nil {
		return nil, fmt.Errorf("not an indirect block: %w", err)
	}
	return refs, nil
}

// ConsumeRef reads the reference at the beginning of an indirect block and returns
// how many bytes it takes. It is ParseRefs for who must not hold all references of a
// block that a peer has made.
func ConsumeRef(block []byte) (r Ref, n int, err error) {
	e := elements{rest: block}
	r = e.ref(0)
	if e.err != nil {
		return Ref{}, 0, fmt.Errorf("not an indirect block: %w", e.err)
	}
	return r, len(block) - len(e.rest), nil
}

// AppendRefs appends the content of an indirect block.
func AppendRefs(dst []byte, refs ...Ref) (block []byte, err error) {
	for _, r := range refs {
		if dst, err = r.AppendBinary(dst); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

var errTooNested = fmt.Errorf("more than %d references in each other", maxParts)

// ref reads a reference; depth is how many it is inside of.
func (e *elements) ref(depth int) (r Ref) {
	if depth > maxParts {
		e.fail("reference", errTooNested)
		return Ref{}
	}
	in := elements{rest: e.data("reference")}
	if e.err != nil {
		return Ref{}
	}
	flags := in.number("flags of the reference")
	if flags&^refKnown != 0 {
		in.fail("reference", fmt.Errorf("unknown flags %#x", flags))
	}
	r.Indirect = flags&refIndirect != 0
	r.Span = in.number("span")
	if flags&refHasType != 0 {
		r.Type = RefType(in.number("type of the reference"))
	}
	if flags&refHasTypeFlags != 0 {
		r.TypeFlags = in.number("type flags")
	}
	switch r.Type {
	case RefBlock:
		r.Code = in.code()
	case RefRun:
		if b := in.bytes("run", 1); b != nil {
			r.Run = b[0]
		}
	case RefLiteral:
		if r.Span != uint64(len(in.rest)) && in.err == nil {
			in.fail("literal", fmt.Errorf("%d bytes, want %d", len(in.rest), r.Span))
		}
		r.Literal = append([]byte(nil), in.rest...)
		in.rest = nil
	case RefPart:
		r.Offset = in.number("offset")
		of := in.ref(depth + 1)
		r.Of = &of
	default:
		in.fail("reference", fmt.Errorf("unknown type %d", r.Type))
	}
	if err := in.end(); err != nil {
		e.fail("reference", err)
		return Ref{}
	}
	return r
}
