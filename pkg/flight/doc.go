// Package flight is the flight recorder: an observer that remembers the last requests of
// every connection, with their stages, and for longer those that are notable, because they
// were slow, failed, or match a rule. What it remembers is found by connection and tag;
// what happens now can be followed live.
//
// The memory is taken at once and never grows. A request costs some tens of nanoseconds,
// whether or not anybody looks.
package flight
