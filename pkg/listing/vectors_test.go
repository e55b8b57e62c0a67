package listing_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/listing"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// vector is a packet of the protocol's vectors. Its numbers are exact.
type vector struct {
	ID            string
	IsRequest     bool                           `json:"is_request"`
	OK            bool                           `json:"ok"`
	Channel       json.Number                    `json:"channel"`
	Tag           json.Number                    `json:"tag"`
	Flags         json.Number                    `json:"flags"`
	ResponseFlags json.Number                    `json:"response_flags"`
	Type          json.Number                    `json:"rq_type"`
	Payload       string                         `json:"payload_hex"`
	PayloadGen    *struct{ Seed, Length uint32 } `json:"payload_gen"`
	Wire          string                         `json:"wire_hex"`
	WireHead      string                         `json:"wire_head_hex"`
	WireSHA       string                         `json:"wire_sha256"`
	Fits          bool                           `json:"fits_64_bits"`
	Special       string
}

func readJSON(t testing.TB, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../stream/testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// wire returns the vector's bytes.
func (v *vector) wire(t testing.TB) []byte {
	if v.PayloadGen == nil {
		return unhex(t, v.Wire)
	}
	b := unhex(t, v.WireHead)
	x := v.PayloadGen.Seed
	for range v.PayloadGen.Length {
		x = x*1664525 + 1013904223
		b = append(b, byte(x>>24))
	}
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != v.WireSHA {
		t.Fatalf("vector %s is generated wrong", v.ID)
	}
	return b
}

// wantLine is the JSON line that the vector must become, made without any code of
// the package.
func (v *vector) wantLine(wire []byte) map[string]any {
	want := map[string]any{
		"offset": json.Number("0"), "size": number(len(wire)), "channel": v.Channel, "tag": v.Tag, "flags": v.Flags,
		"payload_hex": v.Payload,
	}
	if v.PayloadGen != nil {
		want["payload_hex"] = hex.EncodeToString(wire[len(v.WireHead)/2:])
	}
	switch {
	case v.Special != "":
		want["kind"] = strings.ToLower(v.Special)
	case v.IsRequest:
		want["kind"], want["type"] = "request", v.Type
	default:
		want["kind"], want["flags"], want["ok"] = "response", v.ResponseFlags, v.OK
	}
	return want
}

func number(n int) json.Number {
	text, _ := json.Marshal(n)
	return json.Number(text)
}

func exact(t testing.TB, line []byte) map[string]any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	object := make(map[string]any)
	if err := d.Decode(&object); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	return object
}

// list returns the listing of a stream, and the error.
func list(b []byte, format listing.Format) (string, error) {
	var out strings.Builder
	err := listing.Write(&out, stream.NewDecoder(bytes.NewReader(b)), format)
	return out.String(), err
}

// encode returns the bytes of a listing.
func encode(lines string) ([]byte, error) {
	var out bytes.Buffer
	err := listing.Encode(&out, listing.NewReader(strings.NewReader(lines), 0))
	return out.Bytes(), err
}

func TestVectors(t *testing.T) {
	var file struct{ Packets []vector }
	readJSON(t, "packets.json", &file)
	if len(file.Packets) < 400 {
		t.Fatalf("%d vectors", len(file.Packets))
	}
	for _, v := range file.Packets {
		t.Run(v.ID, func(t *testing.T) {
			wire := v.wire(t)
			lines, err := list(wire, listing.JSON)
			if !v.Fits {
				if err == nil {
					t.Fatalf("a number over 64 bits is listed: %s", lines)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, want := exact(t, []byte(lines)), v.wantLine(wire)
			for key := range want {
				if got[key] != want[key] {
					t.Errorf("%s: got %.80v, want %.80v", key, got[key], want[key])
				}
			}
			if len(got) != len(want) {
				t.Errorf("keys: got %.300s", lines)
			}
			again, err := encode(lines)
			if err != nil || !bytes.Equal(again, wire) {
				t.Errorf("back: %v, got %.80x, want %.80x", err, again, wire)
			}
		})
	}
}

func TestConversations(t *testing.T) {
	files, err := filepath.Glob("../stream/testdata/conversations/*.json")
	if err != nil || len(files) < 10 {
		t.Fatal(len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		var conversation struct {
			Streams map[string]string
			Packets []struct {
				Dir    string
				Offset json.Number
				Length json.Number
				Tag    json.Number
			}
		}
		readJSON(t, "conversations/"+name+".json", &conversation)
		for dir, text := range conversation.Streams {
			t.Run(name+"/"+dir, func(t *testing.T) {
				wire := unhex(t, text)
				lines, err := list(wire, listing.JSON)
				if err != nil {
					t.Fatal(err)
				}
				rest := strings.SplitAfter(lines, "\n")
				for _, p := range conversation.Packets {
					if p.Dir != dir {
						continue
					}
					got := exact(t, []byte(rest[0]))
					rest = rest[1:]
					if got["offset"] != p.Offset || got["size"] != p.Length || got["tag"] != p.Tag {
						t.Errorf("got %v, want %v", got, p)
					}
				}
				if len(rest) != 1 || rest[0] != "" {
					t.Errorf("%d packets too many", len(rest)-1)
				}
				again, err := encode(lines)
				if err != nil || !bytes.Equal(again, wire) {
					t.Errorf("back: %v, got %.80x, want %.80x", err, again, wire)
				}
			})
		}
	}
}

// Malformed input: what comes before is listed, then there is an error with the
// offset. What is accepted or taken as the end by a receiver is listed.
func TestMalformed(t *testing.T) {
	var file struct {
		Malformed []struct {
			ID, Required string
			Bytes        string `json:"bytes_hex"`
		}
	}
	readJSON(t, "packets.json", &file)
	before := unhex(t, "03010200"+"02020c"+"03000200")
	for _, m := range file.Malformed {
		t.Run(m.ID, func(t *testing.T) {
			lines, err := list(append(bytes.Clone(before), unhex(t, m.Bytes)...), listing.JSON)
			if n := strings.Count(lines, "\n"); n < 3 {
				t.Errorf("%d lines before the malformed packet, want 3", n)
			}
			if m.Required != "error" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if pe := (*stream.ProtocolError)(nil); !errors.As(err, &pe) || pe.Offset != int64(len(before)) {
				t.Errorf("got %v, want an error at byte %d", err, len(before))
			}
		})
	}
}
