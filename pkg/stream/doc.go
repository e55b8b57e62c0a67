// Package stream carries requests and responses in small packets over any pair
// of byte streams. Both ends of a connection ask and answer; many requests are in
// flight at once, each known by its channel and tag, and are answered in any
// order. It is wire-compatible with the Python package cs.packetstream and uses
// the standard library alone.
//
// [NewConn] makes a connection of a stream that is there, [NewClient] one that
// dials on demand and reconnects. A [Handler], mostly a [Mux], answers the peer's
// requests; [Conn.Call], [Conn.Submit] and [Conn.Go] send one's own. [Method] adds
// types: a request declared once is used by both sides.
//
// Every submitted request ends in exactly one [Outcome], and every accepted one
// gets exactly one response, unless the stream fails first. Errors of calls are
// of type [*Error] and say on which side, on which connection and for which tag
// something went wrong; [Conn.Err] and [Conn.Reason] tell why a connection ended.
// Whatever a peer controls has a limit, see [Options].
//
// An [Observer] sees what happens; metrics, traces and logs are made of it.
// [Packet], [Decoder] and [Encoder] serve tools that look at streams without
// taking part.
package stream
