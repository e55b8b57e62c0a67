package main

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"

	"github.com/pktsvc/pktsvc/pkg/store"
)

const poolSize = 64 << 20

// blocks are numbered blocks of one size. Their bytes are windows into random ones,
// and their codes hashes of the number: making them must not be what is measured.
type blocks struct {
	size int
	pool []byte
}

func newBlocks(size int) blocks {
	pool := make([]byte, poolSize)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(pool)
	return blocks{size, pool}
}

func (b blocks) data(n int) []byte {
	// Steps of an odd number of bytes, so that no engine finds the same window
	// twice within what it compresses together.
	at := n * (b.size + 1<<16 + 1) % (poolSize - b.size)
	return b.pool[at : at+b.size]
}

func (b blocks) code(n int) store.Code {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
	code, err := store.NewCode(store.BLAKE3, sum[:])
	if err != nil {
		panic(err) // the sizes are the same
	}
	return code
}
