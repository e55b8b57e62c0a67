package listing_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/listing"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// canonical encodes the packets that can be read from b anew.
func canonical(t *testing.T, b []byte) []byte {
	var out bytes.Buffer
	enc := stream.NewEncoder(&out)
	for d := stream.NewDecoder(bytes.NewReader(b)); ; {
		p, _, err := d.Decode()
		if err != nil {
			break
		}
		if err := enc.Encode(p); err != nil {
			t.Fatalf("a packet that was read does not encode: %v", err)
		}
	}
	if err := enc.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Listing any bytes and encoding the listing gives the packets in canonical form,
// which is the same bytes where these were canonical.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("\x10\x02\x82\x56\x02hello, world\x03\x01\x02\x00\x03\x00\x02\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		lines, listErr := list(b, listing.JSON)
		for line := range strings.Lines(lines) {
			if !json.Valid([]byte(line)) {
				t.Errorf("not JSON: %s", line)
			}
		}
		got, err := encode(lines)
		if err != nil {
			t.Fatalf("%v in\n%s", err, lines)
		}
		want := canonical(t, b)
		if !bytes.Equal(got, want) {
			t.Errorf("got %x, want %x", got, want)
		}
		again, err := list(got, listing.JSON)
		if err != nil {
			t.Error(err)
		}
		if listErr == nil && len(got) == len(b) && again != lines {
			t.Errorf("listed again:\n%s, want\n%s", again, lines)
		}
		if _, err := list(b, listing.Text); (err == nil) != (listErr == nil) {
			t.Errorf("as text: %v, as JSON: %v", err, listErr)
		}
	})
}

// Any line gives a packet that lists as an equal line, or an error.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"kind":"request","tag":2,"type":1,"channel":3,"flags":4,"payload_hex":"00ff"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		r := listing.NewReader(bytes.NewReader(line), 1<<16)
		for {
			p, err := r.Read()
			if err != nil {
				if !errors.Is(err, io.EOF) && !strings.HasPrefix(err.Error(), "line ") {
					t.Errorf("no line is named: %v", err)
				}
				return
			}
			wire, err := p.AppendBinary(nil)
			if err != nil {
				continue
			}
			lines, err := list(wire, listing.JSON)
			if err != nil {
				t.Fatal(err)
			}
			q, err := listing.Parse([]byte(lines))
			if err != nil || !q.Equal(p) {
				t.Errorf("%v, got %v, want %v", err, q, p)
			}
		}
	})
}
