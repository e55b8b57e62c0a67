package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Probe asks one request type over and over, for blocks with numbers, and verifies
// the answers: it adds them, or gets or looks for what another has added. Blocks of
// the same number and size are the same in every probe. Other requests have nothing
// in them, and any ok answer is right. It is not safe for concurrent use; every
// caller has its own.
type Probe struct {
	class  Class
	blocks uint64
	req    stream.Request
	block  []byte
	code   Code
}

// NewProbe returns a probe for a request type with blocks of size bytes, of which
// there are so many: the next after the last is the first again.
func NewProbe(class Class, typ uint64, size int, blocks uint64) *Probe {
	p := &Probe{class: class, blocks: max(blocks, 1), req: stream.Request{Type: typ}}
	add, _ := AddRequest{Class: class, Data: make([]byte, size)}.AppendBinary(nil)
	p.req.Payload = add
	p.block = add[len(add)-size:]
	x := uint32(size)
	for i := range p.block {
		x = x*1664525 + 1013904223
		p.block[i] = byte(x >> 24)
	}
	return p
}

// Request returns the request for the block number n. Its payload is the probe's,
// and valid until the next.
func (p *Probe) Request(n uint64) stream.Request {
	var stamp [8]byte
	binary.LittleEndian.PutUint64(stamp[:], n%p.blocks)
	copy(p.block, stamp[:])
	switch p.req.Type {
	case Add.Type:
		// Its hash is made in Verify, which is not measured.
	case Get.Type, Contains.Type:
		p.code = p.class.Sum(p.block)
		p.req.Payload, _ = p.code.AppendBinary(p.req.Payload[:0:0])
	default:
		p.req.Payload = nil
	}
	return p.req
}

var errNotAdded = errors.New("the block is not there: add as many of the same size first")

// Verify says what is wrong with the ok answer to the last request, or nil.
func (p *Probe) Verify(got stream.Response) error {
	switch p.req.Type {
	case Add.Type:
		var code Code
		if err := code.UnmarshalBinary(got.Payload); err != nil {
			return err
		}
		return sameCode(code, p.class.Sum(p.block), nil)
	case Get.Type:
		block, err := parseBlock(got.Flags, got.Payload)
		if err == nil && !block.Found {
			err = errNotAdded
		}
		if err == nil && !bytes.Equal(block.Data, p.block) {
			err = fmt.Errorf("%w: another block than %v", ErrAnswer, p.code)
		}
		return err
	case Contains.Type:
		there, err := parseYes(got.Flags)
		if err == nil && !there {
			err = errNotAdded
		}
		return err
	}
	return nil
}
