package object

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// layout knows where things are in the bucket.
type layout struct {
	root        string // before all keys, with a slash at its end, or ""
	blockPrefix string // before the hash of a block
	class       store.Class
}

func newLayout(prefix string, class store.Class) layout {
	l := layout{class: class}
	if prefix != "" {
		l.root = prefix + "/"
	}
	l.blockPrefix = l.root + "blocks/" + class.String() + "/"
	return l
}

func (l layout) marker() string { return l.root + "store" }

func (l layout) probe() string { return l.root + "probe" }

// block is the key of a block. The order of keys is that of the codes.
func (l layout) block(code store.Code) string { return l.blockPrefix + hex.EncodeToString(code.Hash()) }

// beforeBlock is a key below that of the block, with no key of another block in
// between but those that have all but the last digit in common.
func (l layout) beforeBlock(code store.Code) string {
	key := l.block(code)
	return key[:len(key)-1]
}

// code is the one whose key ends so; false for an object that is no block.
func (l layout) code(rest string) (store.Code, bool) {
	hash, err := hex.DecodeString(rest)
	if err != nil || strings.ToLower(rest) != rest {
		return store.Code{}, false
	}
	code, err := store.NewCode(l.class, hash)
	return code, err == nil
}

// archive is the prefix of an archive's entries. Names are spelled with letters,
// digits and -_ alone, others by the hex digits of their bytes, so that no object
// store can take two for one.
func (l layout) archive(name store.ArchiveName) string {
	var b strings.Builder
	b.WriteString(l.root + "archives/")
	for i := range len(name) {
		if c := name[i]; plain(rune(c)) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	b.WriteByte('/')
	return b.String()
}

func plain(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_'
}

func (l layout) entry(name store.ArchiveName, sequence uint64) string {
	return fmt.Sprintf("%s%016x", l.archive(name), sequence)
}

// sequence is the number of the entry whose key ends so; false for an object that
// is no entry.
func (l layout) sequence(rest string) (uint64, bool) {
	n, err := strconv.ParseUint(rest, 16, 64)
	return n, err == nil && fmt.Sprintf("%016x", n) == rest
}
