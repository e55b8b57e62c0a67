package disk

import (
	"encoding/binary"
	"slices"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// The kinds of keys; see the documentation of the package.
const (
	kindArchive = 'a'
	kindBlock   = 'b'
	kindFormat  = 'f'
	kindIndex   = 'i'
)

const sequenceSize = 8

// formatKey is the one key of its kind.
var formatKey = []byte{kindFormat}

func indexKey(code store.Code) []byte { return append([]byte{kindIndex}, code.Hash()...) }
func blockKey(code store.Code) []byte { return append([]byte{kindBlock}, code.Hash()...) }

// next is the key that comes right behind another.
func next(key []byte) []byte { return append(slices.Clip(key), 0) }

// above is a key above all those of a kind, and below those of the next.
func above(kind byte) []byte { return []byte{kind + 1} }

// archivePrefix is what the keys of an archive begin with. No archive's prefix is
// the beginning of another's, since the length comes first.
func archivePrefix(name store.ArchiveName) []byte {
	return append([]byte{kindArchive, byte(len(name))}, name...) //nolint:gosec // MaxArchiveName is 255
}

func entryKey(name store.ArchiveName, sequence uint64) []byte {
	return binary.BigEndian.AppendUint64(archivePrefix(name), sequence)
}

// archiveEnd is a key above all entries of an archive.
func archiveEnd(name store.ArchiveName) []byte {
	return append(entryKey(name, ^uint64(0)), 0)
}

// sequenceOf is that of an entry's key.
func sequenceOf(key []byte) uint64 {
	return binary.BigEndian.Uint64(key[len(key)-sequenceSize:])
}
