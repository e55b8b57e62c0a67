// Package logging writes what happens on connections of package stream to a zap
// logger.
//
// An [Observer] writes, for any number of connections:
//
//   - a line for the opening and one for the end of a connection, with reason,
//     cause and totals;
//   - a line for each request, at a level that depends on its outcome: debug if
//     it was answered ok, warn if that took long, info if the caller is to blame,
//     error if this side is;
//   - what should not happen: panics of handlers with their stack, rejected
//     requests, responses that nobody waits for;
//   - the packet trace, one line for every event of a connection, at level debug;
//     it is switched on and off by connection while the program runs, see
//     [Observer.SetTrace];
//   - the activity of each interval, see [Observer.Start].
//
// Lines about requests name them as connection:tag:label, and carry the fields
// conn, channel, tag, type, and trace_id and span_id where the trace is sampled;
// trace_id alone where a request gets its span after its end (Options.TraceID).
// Payloads are never written.
//
// Peers can cause lines without limit: give the observer a logger that samples,
// such as [NewLogger] makes, which also counts what sampling leaves out. The
// observer itself allocates nothing for a line whose level is off.
package logging
