package diag

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Probe asks one request type over and over, each time with other flags and
// another beginning of the payload, and verifies the answers, so that one request's
// answer is not taken for another's. It allocates nothing for each request. It
// is not safe for concurrent use; every caller has its own.
type Probe struct {
	req   stream.Request
	want  []byte // scratch, for types whose answer is computed
	fixed bool   // the payload stays as it is
}

// The varying flags stay so small that the packet's header keeps its size.
const probeFlags = 15

// stampBytes is how much of a payload varies, if it is as long.
const stampBytes = 8

// NewProbe returns a probe for a request type with payloads of size bytes. Bytes
// beyond the varying beginning are a pattern that depends on seed. Sleep is asked
// for 0 ms, written with size digits, at least 1 and at most 20.
func NewProbe(typ uint64, size int, seed uint64) *Probe {
	if typ == TypeSleep {
		return NewFixedProbe(typ, bytes.Repeat([]byte("0"), min(max(size, 1), 20)))
	}
	p := &Probe{req: stream.Request{Type: typ, Payload: make([]byte, size)}}
	x := uint32(seed)
	for i := range p.req.Payload {
		x = x*1664525 + 1013904223
		p.req.Payload[i] = byte(x >> 24)
	}
	return p
}

// NewFixedProbe returns a probe that sends the same payload every time. The
// probe keeps payload and does not change it.
func NewFixedProbe(typ uint64, payload []byte) *Probe {
	return &Probe{req: stream.Request{Type: typ, Payload: payload}, fixed: true}
}

// Request returns the request number n. Its payload is the probe's, and valid
// until the next.
func (p *Probe) Request(n uint64) stream.Request {
	p.req.Flags = n & probeFlags
	if !p.fixed {
		var stamp [stampBytes]byte
		binary.LittleEndian.PutUint64(stamp[:], n)
		copy(p.req.Payload, stamp[:])
	}
	return p.req
}

// Verify says what is wrong with the ok answer to the last request, or nil. What
// is right for the types 0 to 7 the package's documentation says: all of flags
// and payload is compared. Of other types it knows nothing, so any answer is right.
func (p *Probe) Verify(got stream.Response) error {
	asked := p.req.Payload
	flags, want := uint64(0), p.want[:0]
	switch p.req.Type {
	case TypeEcho, TypeCallBack:
		flags, want = p.req.Flags, asked
	case TypeReverse:
		return p.verifyReverse(got)
	case TypeFail:
		return fmt.Errorf("request type %d was answered ok", TypeFail)
	case TypeLength:
		flags = uint64(len(asked))
	case TypeText:
		want = greeting.Payload
	case TypeHash:
		sum := sha256.Sum256(asked)
		p.want = hex.AppendEncode(want, sum[:])
		want = p.want
	case TypeSleep:
	default:
		return nil
	}
	if got.Flags != flags {
		return fmt.Errorf("response flags %#x, want %#x", got.Flags, flags)
	}
	if !bytes.Equal(got.Payload, want) {
		return wrongPayload(got.Payload, want)
	}
	return nil
}

func (p *Probe) verifyReverse(got stream.Response) error {
	asked, n := p.req.Payload, len(p.req.Payload)
	if got.Flags != ReverseFlags {
		return fmt.Errorf("response flags %#x, want %#x", got.Flags, ReverseFlags)
	}
	if len(got.Payload) != n {
		return fmt.Errorf("a payload of %d bytes, want %d", len(got.Payload), n)
	}
	for i, b := range got.Payload {
		if b != asked[n-1-i] {
			return fmt.Errorf("byte %d of the payload is %#02x, want %#02x", i, b, asked[n-1-i])
		}
	}
	return nil
}

func wrongPayload(got, want []byte) error {
	if len(got) != len(want) {
		return fmt.Errorf("a payload of %d bytes, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			return fmt.Errorf("byte %d of the payload is %#02x, want %#02x", i, got[i], want[i])
		}
	}
	return nil
}
