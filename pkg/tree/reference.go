package tree

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// Reference names a file or a directory in a store. Its text can be printed and
// typed:
//
//	KIND:CLASS:HEX@SPAN        of one block
//	KIND:list:CLASS:HEX@SPAN   of what the references in a block stand for
//	KIND:run:BYTE@SPAN         of one byte, repeated; BYTE is hexadecimal
//	KIND:literal:HEX           of bytes; none, if it is empty
//
// KIND is file or dir, and SPAN the number of bytes of data.
type Reference struct {
	Directory bool
	Ref       store.Ref
}

// maxLiteral is the length of the longest literal in a text, in bytes.
const maxLiteral = 1024

// ReferenceTo returns the reference to what an entry stands for. Links have none, and
// a part of something has no text; then the error matches ErrFormat.
func ReferenceTo(d store.Dirent) (Reference, error) {
	r := Reference{Directory: d.Type == store.DirentDirectory, Ref: dataOf(d)}
	switch {
	case d.Type != store.DirentFile && d.Type != store.DirentDirectory:
		return Reference{}, malformed("%q is neither a file nor a directory, and has no reference", d.Name)
	case r.Ref.Type == store.RefPart:
		return Reference{}, malformed("%q is a part of something, for which there is no text", d.Name)
	case len(r.Ref.Literal) > maxLiteral:
		return Reference{}, malformed("%q has %d bytes in its reference, which is too long for a text", d.Name, len(r.Ref.Literal))
	}
	return r, nil
}

// dataOf is what an entry's data are; without any, an empty literal.
func dataOf(d store.Dirent) store.Ref {
	if d.Block == nil {
		return store.Ref{Type: store.RefLiteral}
	}
	return *d.Block
}

// Dirent returns an entry without a name and metadata.
func (r Reference) Dirent() store.Dirent {
	d := store.Dirent{Block: &r.Ref}
	if r.Directory {
		d.Type = store.DirentDirectory
	}
	return d
}

// String returns the reference's text.
func (r Reference) String() string {
	kind := "file:"
	if r.Directory {
		kind = "dir:"
	}
	switch r.Ref.Type {
	case store.RefLiteral:
		return kind + "literal:" + hex.EncodeToString(r.Ref.Literal)
	case store.RefRun:
		return fmt.Sprintf("%srun:%02x@%d", kind, r.Ref.Run, r.Ref.Span)
	}
	if r.Ref.Indirect {
		kind += "list:"
	}
	return fmt.Sprintf("%s%v@%d", kind, r.Ref.Code, r.Ref.Span)
}

const referenceForm = "want file: or dir:, then CLASS:HEX@SPAN, perhaps with list: in front of it"

// ParseReference reads what String writes.
func ParseReference(text string) (Reference, error) {
	fail := func(err error) (Reference, error) {
		return Reference{}, fmt.Errorf("%.120q is no reference: %w", text, err)
	}
	kind, rest, _ := strings.Cut(text, ":")
	var r Reference
	switch kind {
	case "file":
	case "dir":
		r.Directory = true
	default:
		return Reference{}, fmt.Errorf("%.120q is no reference, %s", text, referenceForm)
	}
	if digits, ok := strings.CutPrefix(rest, "literal:"); ok {
		literal, err := hex.DecodeString(digits)
		if err != nil || digits != strings.ToLower(digits) || len(literal) > maxLiteral {
			return fail(fmt.Errorf("want up to %d bytes as hexadecimal digits", maxLiteral))
		}
		if len(literal) == 0 {
			literal = nil
		}
		r.Ref = store.Ref{Type: store.RefLiteral, Span: uint64(len(literal)), Literal: literal}
		return r, nil
	}
	what, span, ok := strings.Cut(rest, "@")
	if !ok {
		return Reference{}, fmt.Errorf("%.120q is no reference, %s", text, referenceForm)
	}
	n, err := strconv.ParseUint(span, 10, 64)
	if err != nil || strconv.FormatUint(n, 10) != span {
		return fail(fmt.Errorf("%.40q is no number of bytes", span))
	}
	r.Ref.Span = n
	if digits, ok := strings.CutPrefix(what, "run:"); ok {
		b, err := hex.DecodeString(digits)
		if err != nil || len(b) != 1 || digits != strings.ToLower(digits) {
			return fail(fmt.Errorf("%.40q is no byte", digits))
		}
		r.Ref.Type, r.Ref.Run = store.RefRun, b[0]
		return r, nil
	}
	code, indirect := strings.CutPrefix(what, "list:")
	r.Ref.Indirect = indirect
	if r.Ref.Code, err = store.ParseCode(code); err != nil {
		return fail(err)
	}
	return r, nil
}

// MarshalText returns String.
func (r Reference) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText is [ParseReference].
func (r *Reference) UnmarshalText(text []byte) (err error) {
	*r, err = ParseReference(string(text))
	return err
}
