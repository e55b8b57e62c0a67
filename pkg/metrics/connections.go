package metrics

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// connections sums up what connections count themselves.
type connections struct {
	// mu guards the fields below. It is taken before locks of connections, never
	// by somebody who holds one: the engine calls observers without its locks.
	mu   sync.Mutex
	open map[*stream.Conn]struct{}
	past stream.Stats // counters of those that have ended; levels are not kept
}

func (cs *connections) init() { cs.open = make(map[*stream.Conn]struct{}) }

func (cs *connections) add(c *stream.Conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.open[c] = struct{}{}
}

// remove keeps the counters of a connection and lets go of it, in one step, so
// that the sums never go down.
func (cs *connections) remove(c *stream.Conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if _, open := cs.open[c]; open {
		delete(cs.open, c)
		addCounters(&cs.past, c.Stats())
	}
}

// sum is the total of all connections at one time.
type sum struct {
	stream.Stats     // counters of all, levels of the open ones
	open, paused int // connections
}

func (cs *connections) sum() sum {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	total := sum{Stats: cs.past, open: len(cs.open)}
	for c := range cs.open {
		s := c.Stats()
		addCounters(&total.Stats, s)
		total.InFlight += s.InFlight
		total.Serving += s.Serving
		total.Queued += s.Queued
		total.QueuedBytes += s.QueuedBytes
		total.SendQueued += s.SendQueued
		if s.Paused {
			total.paused++
		}
	}
	return total
}

func addCounters(to *stream.Stats, s stream.Stats) {
	to.PacketsReceived += s.PacketsReceived
	to.BytesReceived += s.BytesReceived
	to.PacketsSent += s.PacketsSent
	to.BytesSent += s.BytesSent
	to.Stalls += s.Stalls
	to.Unanswered += s.Unanswered
}

// scraped is a metric whose value is found when it is scraped.
type scraped struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	label []string
	value func(*sum) float64
}

func newDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	packetsDesc  = newDesc("pktsvc_packets_total", "Packets, ERQ and EOF included, by direction.", "direction")
	bytesDesc    = newDesc("pktsvc_packet_bytes_total", "Bytes of packets with their lengths, by direction.", "direction")
	inFlightDesc = newDesc("pktsvc_requests_in_flight",
		"Unanswered requests on open connections: role client those of this side, given-up ones too; role server those of peers, queued ones too.", "role")

	received, sent = []string{"received"}, []string{"sent"}
)

var scrapes = []scraped{
	{packetsDesc, prometheus.CounterValue, received, func(s *sum) float64 { return float64(s.PacketsReceived) }},
	{packetsDesc, prometheus.CounterValue, sent, func(s *sum) float64 { return float64(s.PacketsSent) }},
	{bytesDesc, prometheus.CounterValue, received, func(s *sum) float64 { return float64(s.BytesReceived) }},
	{bytesDesc, prometheus.CounterValue, sent, func(s *sum) float64 { return float64(s.BytesSent) }},
	{newDesc("pktsvc_send_stalls_total", "Times that a stream took no more bytes for the moment."),
		prometheus.CounterValue, nil, func(s *sum) float64 { return float64(s.Stalls) }},
	{newDesc("pktsvc_requests_unanswered_total", "Accepted requests that the end of their connection left unanswered."),
		prometheus.CounterValue, nil, func(s *sum) float64 { return float64(s.Unanswered) }},
	{inFlightDesc, prometheus.GaugeValue, []string{stream.RoleClient.String()},
		func(s *sum) float64 { return float64(s.InFlight) }},
	{inFlightDesc, prometheus.GaugeValue, []string{stream.RoleServer.String()},
		func(s *sum) float64 { return float64(s.Serving + s.Queued) }},
	{newDesc("pktsvc_requests_queued", "Accepted requests that wait for a handler."),
		prometheus.GaugeValue, nil, func(s *sum) float64 { return float64(s.Queued) }},
	{newDesc("pktsvc_request_payload_bytes", "Payload bytes held by accepted requests that are not answered yet."),
		prometheus.GaugeValue, nil, func(s *sum) float64 { return float64(s.QueuedBytes) }},
	{newDesc("pktsvc_send_queue_bytes", "Bytes of packets that wait to be taken by their streams."),
		prometheus.GaugeValue, nil, func(s *sum) float64 { return float64(s.SendQueued) }},
	{newDesc("pktsvc_connections_open", "Connections that are open."),
		prometheus.GaugeValue, nil, func(s *sum) float64 { return float64(s.open) }},
	{newDesc("pktsvc_readers_paused", "Open connections that are not read from since their accepted requests are at a limit."),
		prometheus.GaugeValue, nil, func(s *sum) float64 { return float64(s.paused) }},
}

func (cs *connections) describe(ch chan<- *prometheus.Desc) {
	seen := make(map[*prometheus.Desc]bool)
	for _, m := range scrapes {
		if !seen[m.desc] {
			seen[m.desc] = true
			ch <- m.desc
		}
	}
}

func (cs *connections) collect(ch chan<- prometheus.Metric) {
	total := cs.sum()
	for _, m := range scrapes {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(&total), m.label...)
	}
}
