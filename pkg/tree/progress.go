package tree

import "sync/atomic"

// Progress counts what has been done so far. It may be read while it is written, and
// be shared by several operations. What is done again, since a connection was lost, is
// counted again. The zero value is ready.
type Progress struct {
	files, directories, links         atomic.Uint64
	bytes                             atomic.Uint64
	blocksMoved, bytesMoved           atomic.Uint64
	blocksThere, bytesThere           atomic.Uint64
	windowsCompared, windowsDifferent atomic.Uint64
}

// Counts is what a [Progress] has counted.
type Counts struct {
	Files       uint64 `json:"files"` // that are done
	Directories uint64 `json:"directories"`
	Links       uint64 `json:"links"`
	Bytes       uint64 `json:"bytes"`        // of files, read or written
	BlocksMoved uint64 `json:"blocks_moved"` // sent by Put and Sync, fetched by Get
	BytesMoved  uint64 `json:"bytes_moved"`
	BlocksThere uint64 `json:"blocks_there"` // that need not be moved
	BytesThere  uint64 `json:"bytes_there"`

	// Of Sync: how many checksums were compared, and how many were different.
	WindowsCompared  uint64 `json:"windows_compared,omitempty"`
	WindowsDifferent uint64 `json:"windows_different,omitempty"`
}

// Counts returns what has been counted up to now.
func (p *Progress) Counts() Counts {
	return Counts{
		Files: p.files.Load(), Directories: p.directories.Load(), Links: p.links.Load(), Bytes: p.bytes.Load(),
		BlocksMoved: p.blocksMoved.Load(), BytesMoved: p.bytesMoved.Load(),
		BlocksThere: p.blocksThere.Load(), BytesThere: p.bytesThere.Load(),
		WindowsCompared: p.windowsCompared.Load(), WindowsDifferent: p.windowsDifferent.Load(),
	}
}

func (p *Progress) moved(n int) {
	p.blocksMoved.Add(1)
	p.bytesMoved.Add(uint64(n)) //nolint:gosec // a length
}

func (p *Progress) there(n int) {
	p.blocksThere.Add(1)
	p.bytesThere.Add(uint64(n)) //nolint:gosec // a length
}
