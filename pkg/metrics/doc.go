// Package metrics observes connections of package stream for Prometheus.
//
// An [Observer] is both a [stream.Observer], for Options.Observer of every
// connection, and a [prometheus.Collector], for a registry:
//
//	mux := new(stream.Mux) // with its handlers
//	observer, err := metrics.New(registry, metrics.Options{Types: mux.Names()})
//	conn, err := stream.NewConn(s, stream.Options{Handler: mux, Observer: observer})
//
// Requests are counted and timed by request type and role (rate, errors,
// duration). A type becomes a value of the label "type" only if Options.Types
// names it; all others share the value "other". Tags, channels, connection names
// and addresses of peers are never labels. So the number of series is fixed when
// the observer is made, whatever peers send, and every series exists from the
// start with the value 0.
//
// Packets, bytes, stalls and the lengths of queues are not counted event by
// event: the connections count them anyway, and are asked when metrics are
// scraped. A scrape takes a short time for each open connection (well under a
// microsecond) in which others cannot open or close.
//
// Observing a request allocates nothing, except an exemplar for those whose
// trace is sampled.
package metrics
