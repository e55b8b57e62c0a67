package store

import (
	"fmt"
	"math"
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// DirentType is the kind of a [Dirent].
type DirentType uint64

// The types, by their numbers on the wire.
const (
	DirentFile DirentType = iota
	DirentDirectory
	DirentLink     // a symbolic link
	DirentIndirect // a link to another entry
)

// The bits of a dirent's flags.
const (
	direntMeta = 1 << iota
	direntName
	direntNoBlock
	direntUUID
	direntPrevious
	direntExtended
	direntKnown = 1<<iota - 1
)

// Dirent is a directory entry: a file, a directory or a link, with its name
// (docs/STORE-PROTOCOL.md, section 4). What its metadata mean is up to the
// clients.
type Dirent struct {
	Type     DirentType
	Name     string
	Meta     string
	UUID     []byte // 16 bytes, or none
	Block    *Ref   // what is in the file or directory; links have none
	Previous *Ref
	Extended []byte
}

// AppendBinary appends the entry.
func (d Dirent) AppendBinary(dst []byte) ([]byte, error) {
	var flags uint64
	set := func(bit uint64, when bool) {
		if when {
			flags |= bit
		}
	}
	set(direntMeta, d.Meta != "")
	set(direntName, d.Name != "")
	set(direntNoBlock, d.Block == nil)
	set(direntUUID, len(d.UUID) > 0)
	set(direntPrevious, d.Previous != nil)
	set(direntExtended, d.Extended != nil)
	if n := len(d.UUID); n != 0 && n != 16 {
		return nil, fmt.Errorf("a UUID has 16 bytes, not %d", n)
	}

	dst = stream.AppendUint(dst, uint64(d.Type))
	dst = stream.AppendUint(dst, flags)
	if d.Name != "" {
		dst = stream.AppendData(dst, d.Name)
	}
	if d.Meta != "" {
		dst = stream.AppendData(dst, d.Meta)
	}
	dst = append(dst, d.UUID...)
	for _, ref := range []*Ref{d.Block, d.Previous} {
		if ref == nil {
			continue
		}
		var err error
		if dst, err = ref.AppendBinary(dst); err != nil {
			return nil, err
		}
	}
	if d.Extended != nil {
		dst = stream.AppendData(dst, d.Extended)
	}
	return dst, nil
}

// ParseDirents reads entries that follow one another, as in the data of a
// directory.
func ParseDirents(data []byte) (list []Dirent, err error) {
	e := elements{rest: data}
	for len(e.rest) > 0 {
		list = append(list, e.dirent())
	}
	if err := e.end(); err != nil {
		return nil, fmt.Errorf("not a directory: %w", err)
	}
	return list, nil
}

// ConsumeDirent reads the entry at the beginning of a directory's data and returns
// how many bytes it takes. It is ParseDirents for who must not hold all entries of a
// directory that a peer has made.
func ConsumeDirent(data []byte) (d Dirent, n int, err error) {
	e := elements{rest: data}
	d = e.dirent()
	if e.err != nil {
		return Dirent{}, 0, fmt.Errorf("not a directory: %w", e.err)
	}
	return d, len(data) - len(e.rest), nil
}

func (e *elements) dirent() (d Dirent) {
	d.Type = DirentType(e.number("type of the directory entry"))
	if d.Type > DirentIndirect {
		e.fail("directory entry", fmt.Errorf("unknown type %d", d.Type))
	}
	flags := e.number("flags of the directory entry")
	if flags&^direntKnown != 0 {
		e.fail("directory entry", fmt.Errorf("unknown flags %#x", flags))
	}
	if flags&direntName != 0 {
		d.Name = e.text("name")
	}
	if flags&direntMeta != 0 {
		d.Meta = e.text("metadata")
	}
	if flags&direntUUID != 0 {
		d.UUID = append([]byte(nil), e.bytes("UUID", 16)...)
	}
	if flags&direntNoBlock == 0 {
		ref := e.ref(0)
		d.Block = &ref
	}
	if flags&direntPrevious != 0 {
		ref := e.ref(0)
		d.Previous = &ref
	}
	if flags&direntExtended != 0 {
		d.Extended = append([]byte{}, e.data("extended data")...)
	}
	return d
}

// Entry is one line of an archive: what there was at some time.
type Entry struct {
	When   float64 // seconds since 1970, UTC; not infinite and no NaN
	Dirent Dirent
}

// Time is When as a time.
func (e Entry) Time() time.Time {
	seconds, fraction := math.Modf(e.When)
	return time.Unix(int64(seconds), int64(fraction*1e9))
}

// UnixSeconds is t in the form of [Entry.When].
func UnixSeconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }

// AppendBinary appends the entry.
func (e Entry) AppendBinary(dst []byte) ([]byte, error) {
	if math.IsInf(e.When, 0) || math.IsNaN(e.When) {
		return nil, fmt.Errorf("%v is no time", e.When)
	}
	return e.Dirent.AppendBinary(appendFloat(dst, e.When))
}

// UnmarshalBinary reads one entry, and nothing more.
func (e *Entry) UnmarshalBinary(b []byte) error {
	in := elements{rest: b}
	*e = in.entry()
	return in.end()
}

// ParseEntries reads entries that follow one another, as in the answer to
// ArchiveList.
func ParseEntries(b []byte) (list []Entry, err error) {
	in := elements{rest: b}
	for len(in.rest) > 0 {
		list = append(list, in.entry())
	}
	return list, in.end()
}

func (e *elements) entry() Entry {
	return Entry{When: e.float("when"), Dirent: e.dirent()}
}
