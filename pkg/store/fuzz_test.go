package store

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// FuzzService sends any request to a service. It must answer without a panic, what
// it answers must decode, and what it has stored must be consistent.
func FuzzService(f *testing.F) {
	for _, session := range readVectors(f).Sessions[3:] {
		for _, x := range session.Exchanges {
			f.Add(x.Type, x.Flags, []byte(x.Payload))
		}
	}
	m := NewMemory(SHA1, 1<<20)
	s := NewService(m, Options{MaxAnswer: 4 << 10, MaxTree: 100})
	mux := s.Mux()
	f.Fuzz(func(t *testing.T, typ, flags uint64, payload []byte) {
		given := bytes.Clone(payload)
		resp, err := mux.Serve(t.Context(), stream.Request{Type: typ, Flags: flags, Payload: payload})
		if !bytes.Equal(given, payload) {
			t.Errorf("type %d changes its request", typ)
		}
		if errors.Is(err, ErrCorrupt) {
			t.Error(err)
		}
		if err != nil {
			return
		}
		// The client's side of the same.
		answer := answering{resp}
		c := NewClient(answer, SHA1)
		switch typ {
		case Add.Type:
			r, err := parseAdd(flags, payload)
			if err != nil {
				t.Fatalf("Add takes %x, which does not decode: %v", payload, err)
			}
			if _, err := c.Add(t.Context(), r.Data); err != nil {
				t.Error(err)
			}
			if has, err := m.Has(t.Context(), SHA1.Sum(r.Data)); !has || err != nil {
				t.Errorf("added, and not there: %v", err)
			}
		case Get.Type:
			var code Code
			if err := code.UnmarshalBinary(payload); err != nil {
				t.Fatalf("Get takes %x, which does not decode: %v", payload, err)
			}
			if _, err := c.Get(t.Context(), code); err != nil && !errors.Is(err, ErrMissing) {
				t.Error(err)
			}
		case HashCodes.Type:
			if _, err := parseCodes(resp.Flags, resp.Payload); err != nil || len(resp.Payload) > 4<<10 {
				t.Errorf("%d bytes of hash codes: %v", len(resp.Payload), err)
			}
		case ArchiveList.Type:
			if _, err := ParseEntries(resp.Payload); err != nil {
				t.Errorf("the list %x: %v", resp.Payload, err)
			}
		}
	})
}

// answering is a connection that has one answer to everything.
type answering struct{ stream.Response }

func (a answering) Call(context.Context, stream.Request) (stream.Response, error) {
	return a.Response, nil
}

func (answering) Submit(context.Context, stream.Request) (*stream.Call, error) {
	return nil, errors.New("not this way")
}

// FuzzEntries reads any bytes as archive entries: what can be read can be written,
// and then reads the same.
func FuzzEntries(f *testing.F) {
	for _, v := range readVectors(f).ArchiveEntries {
		f.Add([]byte(v.Entry))
	}
	deep := Ref{Type: RefLiteral}
	for range maxParts {
		of := deep
		deep = Ref{Type: RefPart, Of: &of, TypeFlags: 1}
	}
	b, err := Entry{Dirent: Dirent{Block: &deep, Previous: &Ref{Code: BLAKE3.Sum(nil), Indirect: true}, Extended: []byte{}, UUID: make([]byte, 16)}}.AppendBinary(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := ParseEntries(b)
		if err != nil {
			return
		}
		var written []byte
		for _, e := range list {
			if written, err = e.AppendBinary(written); err != nil {
				t.Fatalf("%+v cannot be written: %v", e, err)
			}
		}
		again, err := ParseEntries(written)
		if err != nil {
			t.Fatalf("%x, written anew, is %x: %v", b, written, err)
		}
		twice := []byte(nil)
		for _, e := range again {
			twice, _ = e.AppendBinary(twice)
		}
		if !bytes.Equal(written, twice) {
			t.Errorf("%x, then %x", written, twice)
		}
	})
}
