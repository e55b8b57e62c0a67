package store

import "hash"

// checksum makes the hash of a [Checksum]: of the hash of all hashes, without
// their classes, one after another (docs/STORE-PROTOCOL.md, section 5).
type checksum struct {
	class Class
	sum   hash.Hash
	last  Code
}

func newChecksum(class Class) checksum { return checksum{class: class, sum: classes[class].new()} }

func (c *checksum) add(code Code) {
	c.sum.Write(code.hash[:c.class.Size()])
	c.last = code
}

func (c *checksum) end() Checksum { return Checksum{Hash: c.class.Sum(c.sum.Sum(nil)), Last: c.last} }

// ChecksumOf returns what HashOfHashCodes answers for a window that covers these
// codes, which are of the class.
func ChecksumOf(class Class, codes []Code) Checksum {
	sum := newChecksum(class)
	for _, c := range codes {
		sum.add(c)
	}
	return sum.end()
}
