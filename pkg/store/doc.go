// Package store is a store of blocks of bytes addressed by their hash, as a
// service over packet connections. It speaks the protocol of the Python
// package's StreamStore (cs.vt.stream), so clients of that can use it:
//
//	type  name              asks
//	0     Add               store a block; the answer is its hash code
//	1     Get               the block with a hash code
//	2     Contains          is it there?
//	3     Flush             make all that was added before durable
//	4     HashCodes         hash codes in order, from some start
//	5     HashOfHashCodes   the same as one checksum, to compare stores
//	6     ArchiveLast       the last entry of an archive, which is a list with a name
//	7     ArchiveUpdate     append an entry
//	8     ArchiveList       all entries
//	9     Length            how many blocks there are
//	10    ContainsIndirect  is a tree of blocks there as a whole?
//
// Their form is in docs/STORE-PROTOCOL.md. The package is also an example of how a service is written. Read it in this
// order:
//
//   - hash.go and element.go: the values that travel, and their bytes
//   - requests.go: every request declared once, as a [stream.Method], for both sides
//   - service.go: the serving side, one method for each request
//   - client.go: the asking side, which believes nothing that it can check
//
// Where blocks are kept is a [Backend]: [NewMemory] here, on disk in package
// store/disk, on object storage in package store/object.
package store
