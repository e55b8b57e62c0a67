// Package object is a [store.Backend] on an object store that speaks S3. Any
// number of processes may have the same store open; what keeps copies of the
// blocks on several machines is the object store.
//
// Below the store's prefix there are
//
//	store                      what the store is: its hash class
//	probe                      an object that is written to see what the object store can
//	blocks/CLASS/HEX           a block, under its hash
//	archives/NAME/SEQUENCE     an entry of an archive, under its number in 16 hex digits
//
// Objects are created and never changed or removed. Where the object store has
// conditional writes (If-None-Match: *), which [Open] tries, they are created with
// them: of several that put a block at the same time exactly one added it, and
// archives have one order. Without, two processes may both report a block as new,
// and there are no archives.
//
// How to read it: keys.go says where things are, bucket.go does single requests,
// attempts.go repeats them, blocks.go and archives.go are the backend, open.go puts
// it together.
package object
