package store

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// The requests. Each is declared once: the service handles it and the client
// sends it, so neither can misunderstand the other. All of them may be sent
// again when a connection was lost, but ArchiveUpdate: it would append twice.
var (
	Add = stream.Method[AddRequest, Code]{
		Type: 0, Name: "Add", Request: stream.Codec[AddRequest]{Parse: parseAdd}, Idempotent: true,
	}
	Get = stream.Method[Code, Block]{
		Type: 1, Name: "Get", Response: stream.Codec[Block]{Append: appendBlock, Parse: parseBlock}, Idempotent: true,
	}
	Contains = stream.Method[Code, bool]{
		Type: 2, Name: "Contains", Response: yesOrNo, Idempotent: true,
	}
	Flush = stream.Method[struct{}, struct{}]{
		Type: 3, Name: "Flush", Idempotent: true,
	}
	HashCodes = stream.Method[Window, []Code]{
		Type: 4, Name: "HashCodes", Request: window,
		Response: stream.Codec[[]Code]{Append: appendCodes, Parse: parseCodes}, Idempotent: true,
	}
	HashOfHashCodes = stream.Method[Window, Checksum]{
		Type: 5, Name: "HashOfHashCodes", Request: window, Idempotent: true,
	}
	ArchiveLast = stream.Method[ArchiveName, LastEntry]{
		Type: 6, Name: "ArchiveLast", Response: stream.Codec[LastEntry]{Append: appendLast, Parse: parseLast}, Idempotent: true,
	}
	ArchiveUpdate = stream.Method[NamedEntry, struct{}]{
		Type: 7, Name: "ArchiveUpdate",
	}
	ArchiveList = stream.Method[ArchiveName, []byte]{
		Type: 8, Name: "ArchiveList", Idempotent: true,
	}
	Length = stream.Method[struct{}, uint64]{
		Type: 9, Name: "Length", Response: stream.Codec[uint64]{Append: appendNumber, Parse: parseNumber}, Idempotent: true,
	}
	ContainsIndirect = stream.Method[Code, bool]{
		Type: 10, Name: "ContainsIndirect", Response: yesOrNo, Idempotent: true,
	}
)

// AddRequest asks to store a block. On the serving side Data is valid until the
// request is answered.
type AddRequest struct {
	Class Class
	Data  []byte
}

// AppendBinary encodes the request.
func (r AddRequest) AppendBinary(dst []byte) ([]byte, error) {
	return stream.AppendData(stream.AppendUint(dst, uint64(r.Class)), r.Data), nil
}

func parseAdd(_ uint64, payload []byte) (r AddRequest, err error) {
	e := elements{rest: payload}
	r = AddRequest{e.class(), e.data("data")}
	return r, e.end()
}

// Block is the answer to Get. A block that is there may be empty.
type Block struct {
	Found bool
	Data  []byte
}

const flagYes = 1

// appendBlock does not copy the block where it need not.
func appendBlock(dst []byte, b Block) ([]byte, uint64, error) {
	if !b.Found {
		return dst, 0, nil
	}
	if dst == nil {
		return b.Data, flagYes, nil
	}
	return append(dst, b.Data...), flagYes, nil
}

func parseBlock(flags uint64, payload []byte) (Block, error) {
	found, err := parseYes(flags)
	if err == nil && !found && len(payload) > 0 {
		err = errors.New("a missing block with bytes")
	}
	return Block{found, payload}, err
}

func parseYes(flags uint64) (bool, error) {
	if flags > flagYes {
		return false, fmt.Errorf("flags are %#x, want 0 or 1", flags)
	}
	return flags == flagYes, nil
}

// yesOrNo is a response of which the flags say all.
var yesOrNo = stream.Codec[bool]{
	Append: func(dst []byte, yes bool) ([]byte, uint64, error) {
		if yes {
			return dst, flagYes, nil
		}
		return dst, 0, nil
	},
	Parse: func(flags uint64, payload []byte) (bool, error) {
		if len(payload) > 0 {
			return false, fmt.Errorf("%d bytes are left over, want none", len(payload))
		}
		return parseYes(flags)
	},
}

// Window asks for a part of the hash codes of a store, which are in ascending
// order.
type Window struct {
	Class  Class
	Start  Code   // where to begin, whether it is there or not; zero: at the smallest
	After  bool   // leave out Start itself
	Length uint64 // the most to give; 0: all
}

// The flags of requests with a window.
const (
	flagAfter = 1 << iota
	flagStart
)

var window = stream.Codec[Window]{
	Append: func(dst []byte, w Window) (_ []byte, flags uint64, err error) {
		dst = stream.AppendData(dst, w.Class.String())
		if !w.Start.IsZero() {
			flags |= flagStart
			dst, err = w.Start.AppendBinary(dst)
		}
		if w.After {
			flags |= flagAfter
			if w.Start.IsZero() {
				err = errAfterNothing
			}
		}
		return stream.AppendUint(dst, w.Length), flags, err
	},
	Parse: func(flags uint64, payload []byte) (w Window, err error) {
		if flags > flagAfter|flagStart {
			return Window{}, fmt.Errorf("flags are %#x, want 0 to 3", flags)
		}
		if flags == flagAfter {
			return Window{}, errAfterNothing
		}
		e := elements{rest: payload}
		w.Class = e.className()
		w.After = flags&flagAfter != 0
		if flags&flagStart != 0 {
			w.Start = e.code()
			if w.Start.class != w.Class && e.err == nil {
				e.fail("start", fmt.Errorf("%v, but asked for codes of %v", w.Start, w.Class))
			}
		}
		w.Length = e.number("length")
		return w, e.end()
	},
}

var errAfterNothing = errors.New("'after' without a start")

func appendCodes(dst []byte, codes []Code) ([]byte, uint64, error) {
	for _, c := range codes {
		dst, _ = c.AppendBinary(dst) // which has no errors
	}
	return dst, 0, nil
}

func parseCodes(_ uint64, payload []byte) (codes []Code, err error) {
	e := elements{rest: payload}
	for len(e.rest) > 0 {
		codes = append(codes, e.code())
	}
	return codes, e.end()
}

// Checksum stands for the hash codes of a window.
type Checksum struct {
	Hash Code // of the hash of all their hashes, see [ChecksumOf]
	Last Code // the last of them; zero if there were none
}

// AppendBinary encodes the answer.
func (c Checksum) AppendBinary(dst []byte) ([]byte, error) {
	dst, err := c.Hash.AppendBinary(dst)
	if err == nil && !c.Last.IsZero() {
		dst, err = c.Last.AppendBinary(dst)
	}
	return dst, err
}

// UnmarshalBinary decodes the answer.
func (c *Checksum) UnmarshalBinary(payload []byte) error {
	e := elements{rest: payload}
	c.Hash, c.Last = e.code(), Code{}
	if len(e.rest) > 0 {
		c.Last = e.code()
	}
	return e.end()
}

// ArchiveName is the name of an archive, which a peer has chosen.
type ArchiveName string

// MaxArchiveName is the length of the longest name of an archive, in bytes.
const MaxArchiveName = 255

// Check says what is wrong with the name. It may not be able to mean something
// else to a file system or to a terminal.
func (n ArchiveName) Check() error {
	if n == "" || len(n) > MaxArchiveName {
		return fmt.Errorf("the name of an archive has 1 to %d bytes, not %d", MaxArchiveName, len(n))
	}
	if !utf8.ValidString(string(n)) {
		return fmt.Errorf("the name of an archive is %w", errNotUTF8)
	}
	for _, r := range n {
		if strings.ContainsRune(`./\`, r) || !unicode.IsPrint(r) {
			return fmt.Errorf("the name of an archive may not contain %q", r)
		}
	}
	return nil
}

// AppendBinary encodes the name.
func (n ArchiveName) AppendBinary(dst []byte) ([]byte, error) {
	return stream.AppendData(dst, n), n.Check()
}

// UnmarshalBinary decodes and checks the name.
func (n *ArchiveName) UnmarshalBinary(payload []byte) error {
	e := elements{rest: payload}
	*n = ArchiveName(e.text("name of the archive"))
	if err := e.end(); err != nil {
		return err
	}
	return n.Check()
}

// NamedEntry asks to append an entry to an archive. The entry travels and is
// kept as the bytes that its sender has made of it.
type NamedEntry struct {
	Archive ArchiveName
	Entry   []byte // as of Entry.AppendBinary
}

// AppendBinary encodes the request.
func (r NamedEntry) AppendBinary(dst []byte) ([]byte, error) {
	dst, err := r.Archive.AppendBinary(dst)
	return append(dst, r.Entry...), err
}

// UnmarshalBinary decodes the request, and checks that the entry is one.
func (r *NamedEntry) UnmarshalBinary(payload []byte) error {
	e := elements{rest: payload}
	r.Archive = ArchiveName(e.text("name of the archive"))
	r.Entry = append([]byte(nil), e.rest...)
	e.entry()
	if err := e.end(); err != nil {
		return err
	}
	return r.Archive.Check()
}

// LastEntry is the answer to ArchiveLast.
type LastEntry struct {
	Found bool
	Entry []byte
}

func appendLast(dst []byte, l LastEntry) ([]byte, uint64, error) {
	return appendBlock(dst, Block{l.Found, l.Entry})
}

func parseLast(flags uint64, payload []byte) (LastEntry, error) {
	b, err := parseBlock(flags, payload)
	return LastEntry{b.Found, b.Data}, err
}

func appendNumber(dst []byte, n uint64) ([]byte, uint64, error) {
	return stream.AppendUint(dst, n), 0, nil
}

func parseNumber(_ uint64, payload []byte) (uint64, error) {
	e := elements{rest: payload}
	n := e.number("number")
	return n, e.end()
}
