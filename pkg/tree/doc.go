// Package tree keeps files and directories in a hash store (package store), and
// moves blocks between two stores.
//
//	Put    a file or a directory into a store: only what is missing travels
//	Get    a file or a directory out of it: only what differs travels
//	Check  is all of a file or a directory there?
//	Sync   the blocks of one store into another: only what is missing travels
//
// A file is cut into chunks where its content says so (chunk.go), so that two
// versions of it have most chunks in common. It is a reference to its one chunk, or
// to a block with a list of references, in as many levels as it takes (list.go). A
// directory is a list of entries, sorted by name, that is kept like a file. The form
// of references and entries is that of the docs/STORE-PROTOCOL.md, section 4.
//
// All four can be killed at any time and run again: what has been moved is found and
// not moved again. All hold a bounded number of bytes (window.go), and what comes
// from a store is believed only as far as it can be checked (limits.go).
package tree
