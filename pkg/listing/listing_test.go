package listing_test

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/pktsvc/pktsvc/pkg/listing"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

func TestJSON(t *testing.T) {
	wire := unhex(t, "1002825602"+"68656c6c6f2c20776f726c64"+ // request
		"0f02810c"+"646c726f77202c6f6c6c6568"+ // response
		"020200"+ // response, not ok
		"03010200"+"03000200"+ // ERQ, EOF
		"03070200"+ // end
		"0503030501ff") // request on channel 5
	const want = `{"offset":0,"size":17,"kind":"request","channel":0,"tag":2,"flags":85,"type":1,"payload_hex":"68656c6c6f2c20776f726c64"}
{"offset":17,"size":16,"kind":"response","channel":0,"tag":2,"flags":17,"ok":true,"payload_hex":"646c726f77202c6f6c6c6568"}
{"offset":33,"size":3,"kind":"response","channel":0,"tag":2,"flags":0,"ok":false,"payload_hex":""}
{"offset":36,"size":4,"kind":"erq","channel":0,"tag":1,"flags":0,"payload_hex":""}
{"offset":40,"size":4,"kind":"eof","channel":0,"tag":0,"flags":0,"payload_hex":""}
{"offset":44,"size":4,"kind":"end","channel":0,"tag":7,"flags":0,"payload_hex":""}
{"offset":48,"size":6,"kind":"request","channel":5,"tag":3,"flags":0,"type":0,"payload_hex":"ff"}
`
	got, err := list(wire, listing.JSON)
	if err != nil || got != want {
		t.Errorf("%v, got\n%s", err, got)
	}
	again, err := encode(got)
	if err != nil || !bytes.Equal(again, wire) {
		t.Errorf("%v, back %x", err, again)
	}
}

func TestText(t *testing.T) {
	tests := []struct{ wire, want string }{
		{"1002825602" + "68656c6c6f2c20776f726c64", `request   channel=0 tag=2 type=1 flags=0x55 payload=12B "hello, world"`},
		{"020204", "response  channel=0 tag=2 ok=true"},
		{"0503030501ff", "request   channel=5 tag=3 type=0 payload=1B ff"},
		{"03000200", "eof       channel=0 tag=0"},
		{"0702041b5b324a0a", `response  channel=0 tag=2 ok=true payload=5B 1b5b324a0a`}, // would clear a screen
		{"0502040a0968", `response  channel=0 tag=2 ok=true payload=3B "\n\th"`},
		{"3d0204" + strings.Repeat("61", 59), `response  channel=0 tag=2 ok=true payload=59B "` + strings.Repeat("a", 48) + `"...`},
		{"3d0204" + strings.Repeat("61", 46) + "f09f9880" + strings.Repeat("61", 9),
			`response  channel=0 tag=2 ok=true payload=59B "` + strings.Repeat("a", 46) + `"...`}, // cut before a character
	}
	for _, test := range tests {
		got, err := list(unhex(t, test.wire), listing.Text)
		if err != nil || strings.Join(strings.Fields(got)[2:], " ") != strings.Join(strings.Fields(test.want), " ") {
			t.Errorf("%s: %v, got %s", test.wire, err, got)
		}
	}
}

func TestParseErrors(t *testing.T) {
	tests := []struct{ line, want string }{
		{`x`, "it is not a JSON object"},
		{`[]`, "it is not a JSON object"},
		{`{"kind":"eof"`, "it is not a JSON object"},
		{`{"kind":"eof",}`, "it is not a JSON object"},
		{`{"kind":"eof"} {}`, "something follows the object"},
		{`{"kind":"eof"} x`, "something follows the object"},
		{`{}`, `there is no "kind"`},
		{`{"kind":"Eof"}`, `"kind": it is "Eof", want`},
		{`{"Kind":"eof"}`, `"Kind": unknown key`},
		{`{"kind":"eof","note":1}`, `"note": unknown key`},
		{`{"kind":"eof","kind":"eof"}`, `"kind": the key is there twice`},
		{`{"kind":"eof","payload_hex":"","payload_hex":""}`, `"payload_hex": the key is there twice`},
		{`{"kind":"response","ok":true}`, `there is no "tag"`},
		{`{"kind":"end"}`, `there is no "tag"`},
		{`{"kind":"request","tag":2}`, `there is no "type"`},
		{`{"kind":"response","tag":2}`, `there is no "ok"`},
		{`{"kind":"response","tag":2,"ok":true,"type":1}`, `"type": packets of kind response have none`},
		{`{"kind":"request","tag":2,"type":1,"ok":true}`, `"ok": packets of kind request have none`},
		{`{"kind":"request","tag":-1,"type":1}`, `"tag": it is -1, want an integer from 0 to 2^64-1`},
		{`{"kind":"request","tag":1.0,"type":1}`, `"tag": it is 1.0, want`},
		{`{"kind":"request","tag":1e3,"type":1}`, `"tag": it is 1e3, want`},
		{`{"kind":"request","tag":null,"type":1}`, `"tag": it is null, want`},
		{`{"kind":"request","tag":18446744073709551616,"type":1}`, `"tag": it is 18446744073709551616, want`},
		{`{"kind":"response","tag":2,"ok":"true"}`, `"ok": it is "true", want true or false`},
		{`{"kind":"end","tag":7,"payload_hex":"abc"}`, `"payload_hex": encoding/hex: odd length`},
		{`{"kind":"end","tag":7,"payload_hex":"zz"}`, `"payload_hex": encoding/hex: invalid byte`},
		{`{"kind":"end","tag":7,"payload_hex":null}`, `"payload_hex": it is null, want a string`},
		{`{"kind":"eof","tag":1}`, "an eof has tag 0, channel 0, flags 0 and no payload"},
		{`{"kind":"erq","tag":0}`, "an erq has tag 1, channel 0, flags 0 and no payload"},
		{`{"kind":"eof","payload_hex":"00"}`, "an eof has tag 0"},
		{`{"kind":"end","tag":1}`, "an end with these numbers is an eof or an erq"},
		{`{"kind":"request","tag":2,"type":18446744073709551615}`, "request type 18446744073709551615 is over"},
		{`{"kind":"request","tag":2,"type":1,"flags":4611686018427387904}`, "request flags 0x4000000000000000 are over"},
		{`{"kind":"response","tag":2,"ok":true,"flags":2305843009213693952}`, "response flags 0x2000000000000000 are over"},
	}
	for _, test := range tests {
		const before = "{\"kind\":\"erq\"}\n\n"
		got, err := encode(before + test.line + "\n{\"kind\":\"eof\"}\n")
		if err == nil || !strings.HasPrefix(err.Error(), "line 3: ") || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want line 3: %s", test.line, err, test.want)
		}
		if !bytes.Equal(got, unhex(t, "03010200")) {
			t.Errorf("%s: written before it: %x", test.line, got)
		}
	}
}

func TestParseLenient(t *testing.T) {
	tests := []struct{ line, want string }{
		{`{"kind":"eof"}`, "03000200"},
		{`{"kind":"erq","tag":1,"offset":"anything","size":null}`, "03010200"},
		{` { "payload_hex" : "ABab" , "type" : 0 , "tag" : 2 , "kind" : "request" } `, "05020201abab"},
		{`{"kind":"response","tag":18446744073709551615,"ok":false}`, "0b81ffffffffffffffff7f00"},
	}
	for _, test := range tests {
		got, err := encode(test.line) // no newline at the end
		if err != nil || !bytes.Equal(got, unhex(t, test.want)) {
			t.Errorf("%s: %v, got %x", test.line, err, got)
		}
	}
}

func TestLongLines(t *testing.T) {
	line := func(size int) string {
		return `{"kind":"end","tag":7,"payload_hex":"` + strings.Repeat("00", size) + "\"}\n"
	}
	for size, wrong := range map[int]bool{1000: false, 4000: true} {
		r := listing.NewReader(strings.NewReader(line(10)+line(size)), 1000)
		_, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Read()
		if wrong && (err == nil || err.Error() != "line 2: it is longer than any packet with a body of 1000 bytes") || !wrong && err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestReadErrorsNameThePlace(t *testing.T) {
	broken := errors.New("broken")
	_, err := listing.NewReader(io.MultiReader(strings.NewReader("{\"kind\":\"eof\"}\n"), iotest.ErrReader(broken)), 0).Read()
	if err != nil {
		t.Fatal(err)
	}
	r := listing.NewReader(iotest.ErrReader(broken), 0)
	if _, err := r.Read(); !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "line 1: ") {
		t.Error(err)
	}
	var out strings.Builder
	in := io.MultiReader(bytes.NewReader(unhex(t, "0300020003")), iotest.ErrReader(broken))
	err = listing.Write(&out, stream.NewDecoder(in), listing.JSON)
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "at byte 4:") || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("%v, after %q", err, out.String())
	}
}

// failing takes some bytes and then fails.
type failing struct{ left int }

var errFull = errors.New("disk full")

func (f *failing) Write(b []byte) (int, error) {
	if f.left -= len(b); f.left < 0 {
		return 0, errFull
	}
	return len(b), nil
}

func TestWriteErrors(t *testing.T) {
	wire := bytes.Repeat(unhex(t, "03000200"), 100_000)
	for _, left := range []int{0, 10_000} {
		if err := listing.Write(&failing{left}, stream.NewDecoder(bytes.NewReader(wire)), listing.JSON); !errors.Is(err, errFull) {
			t.Errorf("Write: %v", err)
		}
		lines := strings.Repeat("{\"kind\":\"eof\"}\n", 100_000)
		if err := listing.Encode(&failing{left}, listing.NewReader(strings.NewReader(lines), 0)); !errors.Is(err, errFull) {
			t.Errorf("Encode: %v", err)
		}
	}
	// Too little for the buffer to be written before the end.
	if err := listing.Write(&failing{}, stream.NewDecoder(bytes.NewReader(wire[:4])), listing.JSON); !errors.Is(err, errFull) {
		t.Errorf("Write: %v", err)
	}
	if err := listing.Encode(&failing{}, listing.NewReader(strings.NewReader(`{"kind":"eof"}`), 0)); !errors.Is(err, errFull) {
		t.Errorf("Encode: %v", err)
	}
}

func TestHexReader(t *testing.T) {
	tests := []struct {
		text, want, err string
	}{
		{text: ""},
		{text: " \n\t "},
		{text: "00ff", want: "00ff"},
		{text: "0 0\nFf\r\n", want: "00ff"},
		{text: "00f", want: "00", err: "hexadecimal text ends at character 3, in the middle of a byte"},
		{text: "00 zz", want: "00", err: "character 3 of the hexadecimal text is 'z', which is no digit"},
		{text: "00 1z", want: "00", err: "character 4 of the hexadecimal text is 'z', which is no digit"},
		{text: "0x00", err: "character 1 of the hexadecimal text is 'x', which is no digit"},
		{text: "é", err: "character 0 of the hexadecimal text is 'Ã', which is no digit"},
	}
	wraps := map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader,
		"halves": iotest.HalfReader, "error with data": iotest.DataErrReader,
	}
	for name, wrap := range wraps {
		for _, test := range tests {
			got, err := io.ReadAll(listing.NewHexReader(wrap(strings.NewReader(test.text))))
			if !bytes.Equal(got, unhex(t, test.want)) {
				t.Errorf("%s: %q: got %x", name, test.text, got)
			}
			if test.err == "" && err != nil || test.err != "" && (err == nil || err.Error() != test.err) {
				t.Errorf("%s: %q: %v", name, test.text, err)
			}
		}
	}
	// A reader of one byte at a time, and the standard library's check of readers.
	long := strings.Repeat("0123 4567 89ab cdef\n", 1000)
	want := unhex(t, strings.NewReplacer(" ", "", "\n", "").Replace(long))
	if err := iotest.TestReader(listing.NewHexReader(strings.NewReader(long)), want); err != nil {
		t.Error(err)
	}
}

// A stream much larger than what is held of it.
func TestConstantMemory(t *testing.T) {
	const packets, most = 3000, 20 << 20
	wire, err := stream.Packet{Kind: stream.KindEnd, Tag: 7, Payload: make([]byte, 4000)}.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	var peak uint64
	in := &repeat{unit: wire, left: packets, each: func(left int) {
		if left%100 == 0 {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapInuse)
		}
	}}
	encoded := &counter{}
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := listing.Encode(encoded, listing.NewReader(pr, 4096))
		pr.CloseWithError(err)
		done <- err
	}()
	err = listing.Write(pw, stream.NewDecoder(in), listing.JSON)
	pw.Close()
	if err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if encoded.n != packets*len(wire) {
		t.Errorf("%d bytes, want %d", encoded.n, packets*len(wire))
	}
	if peak > most {
		t.Errorf("up to %d bytes in use for a stream of %d and a listing of more than %d", peak, encoded.n, 2*encoded.n)
	}
}

type repeat struct {
	unit []byte
	left int
	each func(left int) // called before each unit
	rest []byte
}

func (r *repeat) Read(b []byte) (int, error) {
	if len(r.rest) == 0 {
		if r.left == 0 {
			return 0, io.EOF
		}
		r.left--
		r.each(r.left)
		r.rest = r.unit
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

type counter struct{ n int }

func (c *counter) Write(b []byte) (int, error) { c.n += len(b); return len(b), nil }

// Packets of the extension have a name, which changes nothing of their bytes.
func TestExtensionHasAName(t *testing.T) {
	const hexes = "1102037001013f8288000102030405060708" + "070603700300a467" + "0403037063" + "03020570"
	wire := unhex(t, hexes)
	var out, back bytes.Buffer
	if err := listing.Write(&out, stream.NewDecoder(bytes.NewReader(wire)), listing.JSON); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	for i, want := range []string{`"extension":"hello"`, `"extension":"cancel"`, "", `"extension":"answer"`} {
		if has := strings.Contains(lines[i], `"extension"`); has != (want != "") || !strings.Contains(lines[i], want) {
			t.Errorf("%s: want %q", lines[i], want)
		}
	}
	if err := listing.Encode(&back, listing.NewReader(&out, 0)); err != nil || back.String() != string(wire) {
		t.Errorf("%x (%v)", back.Bytes(), err)
	}
}
