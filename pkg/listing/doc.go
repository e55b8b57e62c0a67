// Package listing is the written form of recorded packets: a line of JSON for
// each, from which the very bytes can be made again, or a line for people.
//
// A JSON line is an object with these keys, in this order:
//
//	offset       of the packet in the stream, in bytes
//	size         of the packet with its length, in bytes
//	kind         request, response, eof, erq, or end: a request of wire type 0
//	             that is neither eof nor erq, which a receiver takes as the end
//	channel, tag
//	flags        as the application sees them: of a response without the ok bit
//	type         requests only: the application's number
//	ok           responses only
//	payload_hex  in lower case
//
// Numbers are exact, up to 2^64-1; programs that read them as floating-point
// numbers lose digits. [Write] makes lines of a stream of packets, [Encode] makes
// a stream of lines.
package listing
