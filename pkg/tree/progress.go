package tree

import "sync/atomic"

// Progress counts what has been done so far. It may be read while it is written, and
// be shared by several operations. When Put begins anew, since a connection was lost, what
// it has read until then is counted no longer, so that in the end it is counted once; what
// was moved is counted whenever it was. The zero value is ready.
type Progress struct {
	whole *Progress // counts all that this one counts; nil: none does

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

// round returns a Progress for what may have to be done anew.
func (p *Progress) round() *Progress { return &Progress{whole: p} }

// forget takes back what a round has counted, but for what it has moved. Nobody counts in
// it any more.
func (p *Progress) forget() {
	for of := p.whole; of != nil; of = of.whole {
		of.files.Add(-p.files.Load())
		of.directories.Add(-p.directories.Load())
		of.links.Add(-p.links.Load())
		of.bytes.Add(-p.bytes.Load())
		of.blocksThere.Add(-p.blocksThere.Load())
		of.bytesThere.Add(-p.bytesThere.Load())
	}
}

func (p *Progress) file() {
	for ; p != nil; p = p.whole {
		p.files.Add(1)
	}
}

func (p *Progress) directory() {
	for ; p != nil; p = p.whole {
		p.directories.Add(1)
	}
}

func (p *Progress) link() {
	for ; p != nil; p = p.whole {
		p.links.Add(1)
	}
}

// read counts bytes of files, read or written; fewer than none for those that are to be
// read again.
func (p *Progress) read(n int64) {
	for ; p != nil; p = p.whole {
		p.bytes.Add(uint64(n)) //nolint:gosec // it wraps as it should
	}
}

func (p *Progress) moved(n int) {
	for ; p != nil; p = p.whole {
		p.blocksMoved.Add(1)
		p.bytesMoved.Add(uint64(n)) //nolint:gosec // a length
	}
}

func (p *Progress) there(n int) {
	for ; p != nil; p = p.whole {
		p.blocksThere.Add(1)
		p.bytesThere.Add(uint64(n)) //nolint:gosec // a length
	}
}
