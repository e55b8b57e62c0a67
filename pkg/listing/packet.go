package listing

import (
	"errors"
	"fmt"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// packet makes the packet of the fields, and checks that they fit together.
func (f *fields) packet() (stream.Packet, error) {
	if f.kind == nil {
		return stream.Packet{}, missing("kind")
	}
	p := stream.Packet{Kind: *f.kind, Payload: f.payload}
	for _, n := range []struct {
		from *uint64
		to   *uint64
	}{{f.channel, &p.Channel}, {f.tag, &p.Tag}, {f.flags, &p.Flags}, {f.typ, &p.Type}} {
		if n.from != nil {
			*n.to = *n.from
		}
	}
	if f.ok != nil {
		p.OK = *f.ok
	}
	return p, f.check(&p)
}

func (f *fields) check(p *stream.Packet) error {
	special := p.Kind == stream.KindEOF || p.Kind == stream.KindEndRequests
	switch {
	case f.tag == nil && !special:
		return missing("tag")
	case f.typ == nil && p.Kind == stream.KindRequest:
		return missing("type")
	case f.typ != nil && p.Kind != stream.KindRequest:
		return surplus("type", p.Kind)
	case f.ok == nil && p.Kind == stream.KindResponse:
		return missing("ok")
	case f.ok != nil && p.Kind != stream.KindResponse:
		return surplus("ok", p.Kind)
	}
	if special {
		return f.checkSpecial(p)
	}
	if p.Kind == stream.KindEnd && p.Channel == 0 && p.Flags == 0 && len(p.Payload) == 0 && p.Tag <= 1 {
		return errors.New("an end with these numbers is an eof or an erq, so its kind must say that")
	}
	return nil
}

// checkSpecial sees to it that no number is lost: EOF and ERQ are the same bytes
// whatever the line says.
func (f *fields) checkSpecial(p *stream.Packet) error {
	tag := uint64(0)
	if p.Kind == stream.KindEndRequests {
		tag = 1
	}
	if f.tag == nil {
		p.Tag = tag
	}
	if p.Tag != tag || p.Channel != 0 || p.Flags != 0 || len(p.Payload) != 0 {
		return fmt.Errorf("an %v has tag %d, channel 0, flags 0 and no payload", p.Kind, tag)
	}
	return nil
}

func missing(key string) error { return fmt.Errorf("there is no %q", key) }

func surplus(key string, k stream.Kind) error {
	return fmt.Errorf("%q: packets of kind %v have none", key, k)
}
