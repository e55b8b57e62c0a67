package store

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // the protocol has it; blake3 is the default
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"

	"github.com/zeebo/blake3"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Class is a hash function. A store has one, and refuses blocks of others.
type Class uint8

// The classes, by their numbers on the wire.
const (
	SHA1 Class = iota
	SHA256
	BLAKE3
	numClasses
)

// DefaultClass is that of the Python package.
const DefaultClass = BLAKE3

// maxHash is the length of the longest hash, in bytes.
const maxHash = 32

var classes = [numClasses]struct {
	name string
	size int
	sum  func(data []byte) [maxHash]byte
	new  func() hash.Hash
}{
	SHA1: {"sha1", sha1.Size, func(data []byte) (h [maxHash]byte) {
		sum := sha1.Sum(data) //nolint:gosec // see above
		copy(h[:], sum[:])
		return h
	}, sha1.New},
	SHA256: {"sha256", sha256.Size, func(data []byte) [maxHash]byte { return sha256.Sum256(data) }, sha256.New},
	BLAKE3: {"blake3", 32, func(data []byte) [maxHash]byte { return blake3.Sum256(data) }, func() hash.Hash { return blake3.New() }},
}

// ParseClass returns the class with a name, such as "blake3".
func ParseClass(name string) (Class, error) {
	for c, class := range classes {
		if class.name == name {
			return Class(c), nil
		}
	}
	return 0, fmt.Errorf("%w: %.40q, want one of %s", ErrClass, name, strings.Join(ClassNames(), ", "))
}

// ClassNames lists the names of the classes.
func ClassNames() []string {
	var names []string
	for _, class := range classes {
		names = append(names, class.name)
	}
	return names
}

// String returns the class's name.
func (c Class) String() string {
	if c < numClasses {
		return classes[c].name
	}
	return fmt.Sprintf("class %d", uint8(c))
}

// MarshalText returns the class's name.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText is [ParseClass].
func (c *Class) UnmarshalText(text []byte) (err error) {
	*c, err = ParseClass(string(text))
	return err
}

// Size is the length of a hash in bytes. It panics, as Sum does, if there is no such class.
func (c Class) Size() int { return classes[c].size }

// Sum returns the hash code of a block.
func (c Class) Sum(data []byte) Code {
	return Code{class: c, hash: classes[c].sum(data)}
}

// Code is the hash code of a block: a class and a hash. Codes can be compared
// with == and be keys of maps. The zero value is no code of any block in
// practice, and stands for "none".
type Code struct {
	class Class
	hash  [maxHash]byte // beyond the class's size: zeros
}

// NewCode makes a code of a hash, which must have the class's size.
func NewCode(class Class, hash []byte) (Code, error) {
	if class >= numClasses {
		return Code{}, fmt.Errorf("%w: number %d", ErrClass, class)
	}
	if len(hash) != class.Size() {
		return Code{}, fmt.Errorf("a hash of %v has %d bytes, not %d", class, class.Size(), len(hash))
	}
	c := Code{class: class}
	copy(c.hash[:], hash)
	return c, nil
}

// ParseCode reads what [Code.String] writes.
func ParseCode(text string) (Code, error) {
	name, digits, ok := strings.Cut(text, ":")
	if !ok {
		return Code{}, fmt.Errorf("%.80q is no hash code, want CLASS:HEX with a class such as sha1", text)
	}
	class, err := ParseClass(name)
	if err != nil {
		return Code{}, err
	}
	hash, err := hex.DecodeString(digits)
	if err != nil {
		return Code{}, fmt.Errorf("%.80q is no hash code: %w", text, err)
	}
	return NewCode(class, hash)
}

// Class is the code's class.
func (c Code) Class() Class { return c.class }

// Hash returns the bytes of the hash, as a copy.
func (c Code) Hash() []byte { return bytes.Clone(c.hash[:c.class.Size()]) }

// IsZero reports whether c is the zero value.
func (c Code) IsZero() bool { return c == Code{} }

// String is CLASS:HEX.
func (c Code) String() string {
	return c.class.String() + ":" + hex.EncodeToString(c.hash[:c.class.Size()])
}

// Compare orders codes by class, then by the bytes of the hash.
func (c Code) Compare(other Code) int {
	if c.class != other.class {
		return int(c.class) - int(other.class)
	}
	return bytes.Compare(c.hash[:], other.hash[:])
}

// AppendBinary appends the number of the class and the hash (docs/STORE-PROTOCOL.md,
// section 2).
func (c Code) AppendBinary(dst []byte) ([]byte, error) {
	dst = stream.AppendUint(dst, uint64(c.class))
	return append(dst, c.hash[:c.class.Size()]...), nil
}

// UnmarshalBinary reads what AppendBinary wrote, and nothing more.
func (c *Code) UnmarshalBinary(payload []byte) error {
	e := elements{rest: payload}
	*c = e.code()
	return e.end()
}

// The conditions that errors of this package match with errors.Is.
var (
	// ErrClass: there is no such hash class.
	ErrClass = errors.New("unknown hash class")
	// ErrOtherClass: the store has another hash class.
	ErrOtherClass = errors.New("the store has another hash class")
	// ErrMissing: the store has no such block, or the archive no entry.
	ErrMissing = errors.New("not in the store")
	// ErrCorrupt: what the store has under a hash code has another hash.
	ErrCorrupt = errors.New("corrupt block")
	// ErrNoArchives: the store keeps no archives.
	ErrNoArchives = errors.New("the store keeps no archives")
	// ErrFull: the store has no room for more blocks; it can still be read.
	ErrFull = errors.New("the store is full")
	// ErrAnswer: the peer's answer cannot be right.
	ErrAnswer = errors.New("wrong answer")
	// ErrTooMany: an answer would be longer than the store's limit.
	ErrTooMany = errors.New("the answer would be too long, ask for less")
)
