package tree

import (
	"errors"
	"fmt"
	"io"
	"sync"

	chunkers "github.com/PlakarKorp/go-cdc-chunkers"
	_ "github.com/PlakarKorp/go-cdc-chunkers/chunkers/fastcdc" // its algorithms register themselves
)

// Where data are cut. These never change: stores would have to keep all data anew,
// since chunks are only found again if they are cut at the same places.
const (
	MinChunk     = 32 << 10  // bytes; only the last chunk may be shorter
	AverageChunk = 128 << 10 // about
	MaxChunk     = 1 << 20

	algorithm = "fastcdc-v1.0.0"
)

// chunker cuts data into chunks. It is used for one reader after another, and not
// concurrently.
type chunker struct {
	c     *chunkers.Chunker
	ended bool
}

// chunkerPool has chunkers that are not in use: each has a buffer of 2 MaxChunk.
var chunkerPool = sync.Pool{New: func() any {
	c, err := chunkers.NewChunker(algorithm, nil, &chunkers.ChunkerOpts{
		MinSize: MinChunk, NormalSize: AverageChunk, MaxSize: MaxChunk,
	})
	if err != nil {
		return fmt.Errorf("the chunker refuses its parameters: %w", err)
	}
	return &chunker{c: c}
}}

// newChunker returns a chunker of what r reads. Release it.
func newChunker(r io.Reader) (*chunker, error) {
	switch c := chunkerPool.Get().(type) {
	case *chunker:
		c.c.Reset(r)
		c.ended = false
		return c, nil
	case error:
		return nil, c
	}
	return nil, errors.New("no chunker")
}

func (c *chunker) release() {
	c.c.Reset(nil)
	chunkerPool.Put(c)
}

// next returns the next chunk, which is valid until the next call, or io.EOF.
func (c *chunker) next() ([]byte, error) {
	if c.ended {
		return nil, io.EOF
	}
	chunk, err := c.c.Next()
	if errors.Is(err, io.EOF) && len(chunk) > 0 { // the last one may come with its end
		c.ended = true
		return chunk, nil
	}
	return chunk, err
}
