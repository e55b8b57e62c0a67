// Package diag is the diagnostic service: request types with answers that are
// known beforehand, to try a connection, a client or a whole deployment with.
//
//	type  name      answer
//	0     Echo      the request's flags and payload
//	1     Reverse   flags 0x11, the payload backwards
//	2     Fail      always not ok
//	3     Length    flags: the length of the payload in bytes; no payload
//	4     Text      a fixed text in several scripts, UTF-8
//	5     Sleep     nothing, after as many milliseconds as the payload says
//	6     Hash      the SHA-256 of the payload in hexadecimal digits
//	7     CallBack  what the client answers to a request of type 0 with the
//	                same flags and payload, asked over the same connection
//
// Any other type is refused. [Mux] serves them, [Probe] asks them and verifies
// the answers.
package diag
