package stream

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// recordedStream is a stream of packets of many sizes, one of them larger than any
// buffer to begin with.
func recordedStream(t testing.TB) (wire []byte, packets []Packet) {
	t.Helper()
	for i, size := range []int{0, 1, 100, 4090, 5000, 0, 70000, 3} {
		packets = append(packets,
			Packet{Tag: uint64(i + 2), Type: uint64(i), Flags: uint64(size), Payload: bytes.Repeat([]byte{byte(i)}, size)},
			Packet{Kind: KindResponse, OK: i%2 == 0, Channel: uint64(i), Tag: uint64(i), Payload: bytes.Repeat([]byte("r"), size/2)})
	}
	packets = append(packets, packetEndRequests, packetEOF, Packet{Tag: 2})
	for i := range packets {
		wire = packets[i].append(wire)
	}
	return wire, packets
}

// However the bytes come, the packets are the same, with their offsets.
func TestDecoderReads(t *testing.T) {
	wire, want := recordedStream(t)
	for name, r := range map[string]io.Reader{
		"whole":             bytes.NewReader(wire),
		"byte by byte":      iotest.OneByteReader(bytes.NewReader(wire)),
		"halves":            iotest.HalfReader(bytes.NewReader(wire)),
		"end with the data": iotest.DataErrReader(bytes.NewReader(wire)),
		"empty reads":       &stutteringReader{r: iotest.OneByteReader(bytes.NewReader(wire)), empty: maxEmptyReads - 1},
	} {
		t.Run(name, func(t *testing.T) {
			d := NewDecoder(r)
			var offset int64
			for i, p := range want {
				if d.Offset() != offset {
					t.Fatalf("packet %d at byte %d, want %d", i, d.Offset(), offset)
				}
				got, size, err := d.Decode()
				if err != nil || !got.Equal(p) {
					t.Fatalf("packet %d: %v, %v; want %v", i, got, err, p)
				}
				offset += int64(size)
			}
			for range 2 {
				if _, size, err := d.Decode(); !errors.Is(err, io.EOF) || size != 0 || offset != int64(len(wire)) {
					t.Fatalf("at the end: %d bytes, %v, offset %d of %d", size, err, offset, len(wire))
				}
			}
		})
	}
}

// stutteringReader gives a number of empty reads before each that reads.
type stutteringReader struct {
	r           io.Reader
	empty, done int
}

func (s *stutteringReader) Read(b []byte) (int, error) {
	if s.done++; s.done <= s.empty {
		return 0, nil
	}
	s.done = 0
	return s.r.Read(b)
}

// A stream cut anywhere ends in order between packets and as truncated inside
// one; the error names where the packet began.
func TestDecoderTruncated(t *testing.T) {
	first := []byte("\x10\x02\x82\x56\x02hello, world")
	wire := append(first, "\x05\x02\x01\x05no"...)
	for cut := range len(wire) {
		d := NewDecoder(bytes.NewReader(wire[:cut]))
		var err error
		for err == nil {
			_, _, err = d.Decode()
		}
		at := int64(0)
		if cut >= len(first) {
			at = int64(len(first))
		}
		if cut == 0 || cut == len(first) {
			if !errors.Is(err, io.EOF) {
				t.Errorf("cut at %d: %v, want io.EOF", cut, err)
			}
			continue
		}
		pe := (*ProtocolError)(nil)
		if !errors.As(err, &pe) || pe.Kind != ProtocolTruncated || pe.Offset != at {
			t.Errorf("cut at %d: %v, want it truncated in the packet at %d", cut, err, at)
		}
	}
}

func TestDecoderErrors(t *testing.T) {
	good := "\x03\x02\x02\x01"
	broken := errors.New("broken")
	for _, tt := range []struct {
		name   string
		r      io.Reader
		limit  int
		before int // packets that come before the error
		want   func(error) bool
	}{
		{"malformed behind a packet", strings.NewReader(good + "\x00" + good), 0, 1, func(err error) bool {
			pe := (*ProtocolError)(nil)
			return errors.As(err, &pe) && pe.Kind == ProtocolMalformed && pe.Offset == 4
		}},
		{"over the limit", strings.NewReader(good + "\x04\x02\x02\x01a"), 3, 1, func(err error) bool {
			pe := (*ProtocolError)(nil)
			return errors.As(err, &pe) && pe.Kind == ProtocolOversize && pe.Offset == 4
		}},
		{"the reader fails", io.MultiReader(strings.NewReader(good), iotest.ErrReader(broken)), 0, 1, func(err error) bool { return errors.Is(err, broken) }},
		{"the reader fails inside a packet", io.MultiReader(strings.NewReader(good[:2]), iotest.ErrReader(broken)), 0, 0, func(err error) bool { return errors.Is(err, broken) }},
		{"the reader fails once, with bytes", &onceReader{b: []byte(good + "\x03"), err: broken}, 0, 1, func(err error) bool { return errors.Is(err, broken) }},
		{"the reader gives nothing", &stutteringReader{r: strings.NewReader(good), empty: maxEmptyReads}, 0, 0, func(err error) bool { return errors.Is(err, io.ErrNoProgress) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := NewDecoder(tt.r)
			d.MaxPacket = tt.limit
			for i := range tt.before {
				if _, _, err := d.Decode(); err != nil {
					t.Fatalf("packet %d: %v", i, err)
				}
			}
			_, _, err := d.Decode()
			if !tt.want(err) {
				t.Fatalf("%v", err)
			}
			if _, _, again := d.Decode(); !errors.Is(again, err) {
				t.Errorf("then %v, want the same error again", again)
			}
		})
	}
}

// onceReader gives bytes and an error in one read, and never the error again.
type onceReader struct {
	b   []byte
	err error
}

func (o *onceReader) Read(b []byte) (int, error) {
	if o.b == nil {
		return 0, errors.New("read again after an error")
	}
	n := copy(b, o.b)
	o.b = nil
	return n, o.err
}

// A length that is announced takes no memory before the bytes come.
func TestDecoderMemory(t *testing.T) {
	wire := append(AppendUint(nil, DefaultMaxPacket), bytes.Repeat([]byte{1}, 10000)...)
	d := NewDecoder(bytes.NewReader(wire))
	if _, _, err := d.Decode(); err == nil {
		t.Fatal("decoded what is not there")
	}
	if cap(d.buf) > 2*len(wire) {
		t.Errorf("a buffer of %d bytes for %d", cap(d.buf), len(wire))
	}
}

// flushRecorder records what reaches it, and whether it was flushed.
type flushRecorder struct {
	bytes.Buffer
	flushes int
	fail    error
}

func (w *flushRecorder) Flush() error { w.flushes++; return w.fail }

func TestEncoderFlush(t *testing.T) {
	var under flushRecorder
	e := NewEncoder(&under)
	for _, p := range []Packet{{Tag: 2, Type: 1, Payload: []byte("a")}, packetEOF} {
		if err := e.Encode(p); err != nil {
			t.Fatal(err)
		}
	}
	if under.Len() != 0 || under.flushes != 0 {
		t.Fatalf("%x sent before Flush, %d flushes", under.Bytes(), under.flushes)
	}
	if err := e.Flush(); err != nil {
		t.Fatal(err)
	}
	if want := "\x04\x02\x02\x02a\x03\x00\x02\x00"; under.String() != want || under.flushes != 1 {
		t.Errorf("sent %x, want %x; %d flushes, want 1", under.Bytes(), want, under.flushes)
	}
	under.fail = errors.New("full")
	if err := e.Flush(); !errors.Is(err, under.fail) {
		t.Errorf("%v, want the error of the writer's Flush", err)
	}
}

// What is encoded through buffers in a row is what is decoded.
func TestEncoderThroughBuffers(t *testing.T) {
	wire, packets := recordedStream(t)
	var sent bytes.Buffer
	outer := bufio.NewWriterSize(&sent, 1<<20)
	e := NewEncoder(outer)
	for _, p := range packets {
		if err := e.Encode(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Flush(); err != nil || !bytes.Equal(sent.Bytes(), wire) {
		t.Errorf("%v, %d bytes, want %d", err, sent.Len(), len(wire))
	}
}

func TestEncoderErrors(t *testing.T) {
	var sent bytes.Buffer
	e := NewEncoder(&sent)
	if err := e.Encode(Packet{Flags: 1 << 62}); err == nil {
		t.Error("flags of 63 bits were encoded")
	}
	if err := e.Encode(Packet{Tag: 2}); err != nil {
		t.Errorf("after a packet that was refused: %v", err)
	}
	if err := e.Flush(); err != nil || sent.String() != "\x03\x02\x02\x01" {
		t.Errorf("%x, %v", sent.Bytes(), err)
	}

	f := NewEncoder(failingWriter{})
	if err := f.Encode(Packet{Payload: make([]byte, 10000)}); !errors.Is(err, errFailingWriter) {
		t.Errorf("a packet larger than the buffer: %v", err)
	}
	if err := f.Encode(Packet{}); !errors.Is(err, errFailingWriter) {
		t.Errorf("after a failure: %v", err)
	}
	if err := f.Flush(); !errors.Is(err, errFailingWriter) {
		t.Errorf("flush after a failure: %v", err)
	}
}

var errFailingWriter = errors.New("no more")

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errFailingWriter }

// A payload stays valid until the next packet is asked for.
func TestDecoderPayloadValidity(t *testing.T) {
	d := NewDecoder(iotest.OneByteReader(strings.NewReader("\x06\x02\x02\x01abc\x06\x03\x02\x01def")))
	for _, want := range []string{"abc", "def"} {
		p, _, err := d.Decode()
		if err != nil || string(p.Payload) != want {
			t.Errorf("%q, %v; want %q", p.Payload, err, want)
		}
	}
}
