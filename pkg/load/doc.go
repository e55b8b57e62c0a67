// Package load puts a packet service under load and measures it: a number of
// connections, on each a number of callers that ask one request after another
// and wait for its answer.
//
// Without a rate every caller asks as soon as it has its answer (a closed loop).
// With a rate there is a schedule of times at which requests are meant to leave,
// whoever is free takes the next, and latency counts from the time in the
// schedule: a service that stalls is charged for everybody who had to wait,
// instead of being asked less while it stalls (coordinated omission).
package load
