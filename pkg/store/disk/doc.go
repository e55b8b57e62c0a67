// Package disk is a store's backend in a directory of this machine: blocks and
// archives in an LSM tree, Pebble.
//
// What Put and Append have stored is durable after the next Sync, or when the
// store is closed. Until then a loss of power may take the newest of it away, but
// leaves no block without its bytes and none with wrong ones. The end of the
// process alone takes nothing away that the system had been given.
//
// There are three ways in which a store stops taking blocks:
//
//   - its file system has only the reserve left: Put and Append fail with
//     [store.ErrFull], the rest goes on, and so do they when there is room again
//   - the engine cannot write or contradicts itself: the store has failed, for good,
//     and everything fails with [ErrFailed]
//   - Close
//
// In the directory are keys of four kinds, told apart by the first byte:
//
//	f                        format of the directory and class of the hashes
//	i HASH                   size of a block as a uvarint
//	b HASH                   its bytes
//	a LENGTH NAME SEQUENCE   an entry of an archive; LENGTH of the name is one byte,
//	                         SEQUENCE eight, the highest first, from 1 on
//
// The two keys of a block are written at once, so either both are there or none.
// Keys of i are small and close together: lists, counts and questions for a block
// never read one.
package disk
