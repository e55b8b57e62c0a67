package server

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/pktsvc/pktsvc/pkg/flight"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// connz is the answer of /connz.
type connz struct {
	Now         time.Time         `json:"now"`
	Open        int               `json:"open"`    // all, whatever the filter
	Closed      map[string]uint64 `json:"closed"`  // since the start, by reason
	Matched     int               `json:"matched"` // by the filter; those over the limit are not listed
	Connections []connzEntry      `json:"connections"`
}

type connzEntry struct {
	Name       string     `json:"name"`
	State      string     `json:"state"` // open, or closed
	Peer       string     `json:"peer"`
	Identity   string     `json:"identity,omitempty"` // as it was verified
	Listener   string     `json:"listener"`
	Opened     time.Time  `json:"opened"`
	Closed     *time.Time `json:"closed,omitempty"`
	AgeSeconds float64    `json:"age_seconds"`
	Reason     string     `json:"reason,omitempty"`
	Cause      string     `json:"cause,omitempty"`
	Features   []string   `json:"features"` // of the extension, that both peers have
	Stats      connzStats `json:"stats"`

	Latency *connzLatency `json:"latency,omitempty"` // if that was asked for, and there were requests

	id uint64
}

// connzLatency is how long requests took that ended lately, as far as the recorder
// remembers them.
type connzLatency struct {
	Requests int     `json:"requests"`
	P50      float64 `json:"p50_us"`
	P99      float64 `json:"p99_us"`
}

type connzStats struct {
	PacketsReceived  uint64 `json:"packets_received"`
	BytesReceived    uint64 `json:"bytes_received"`
	PacketsSent      uint64 `json:"packets_sent"`
	BytesSent        uint64 `json:"bytes_sent"`
	RequestsReceived uint64 `json:"requests_received"`
	ResponsesSent    uint64 `json:"responses_sent"`
	CallsSent        uint64 `json:"calls_sent"`
	CallsAnswered    uint64 `json:"calls_answered"`
	Stalls           uint64 `json:"stalls"`
	InFlight         int    `json:"in_flight"`
	Serving          int    `json:"serving"`
	Queued           int    `json:"queued"`
	QueuedBytes      int    `json:"queued_bytes"`
	SendQueued       int    `json:"send_queued"`
	Receiving        int    `json:"receiving"` // bytes of a packet whose rest is awaited
	Paused           bool   `json:"paused"`
	Unanswered       int    `json:"unanswered"`

	RoundTripUS float64 `json:"round_trip_us"` // at the last ping; 0: not known
}

// connzOrders are the values of sort. Figures sort with the greatest first.
var connzOrders = map[string]func(a, b connzEntry) int{
	"name":        func(a, b connzEntry) int { return cmp.Compare(a.id, b.id) },
	"age":         greatest(func(e connzEntry) float64 { return e.AgeSeconds }),
	"requests":    greatest(func(e connzEntry) uint64 { return e.Stats.RequestsReceived }),
	"calls":       greatest(func(e connzEntry) uint64 { return e.Stats.CallsSent }),
	"received":    greatest(func(e connzEntry) uint64 { return e.Stats.BytesReceived }),
	"sent":        greatest(func(e connzEntry) uint64 { return e.Stats.BytesSent }),
	"serving":     greatest(func(e connzEntry) int { return e.Stats.Serving + e.Stats.Queued }),
	"send_queued": greatest(func(e connzEntry) int { return e.Stats.SendQueued }),
	"receiving":   greatest(func(e connzEntry) int { return e.Stats.Receiving }),
	"stalls":      greatest(func(e connzEntry) uint64 { return e.Stats.Stalls }),
}

func greatest[T cmp.Ordered](figure func(connzEntry) T) func(a, b connzEntry) int {
	return func(a, b connzEntry) int { return cmp.Compare(figure(b), figure(a)) }
}

// connectionLister serves /connz: by default the open ones, oldest first, then the closed
// ones, latest first.
type connectionLister struct {
	conns    *connections
	recorder *flight.Recorder
}

func (l connectionLister) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	cs := l.conns
	q := newQuery(r.URL.Query(), "state", "name", "peer", "identity", "reason", "sort", "limit", "latency")
	lately := q.duration("latency", 0)
	state := q.choice("state", "all", "open", "closed")
	orders := append([]string{""}, slices.Sorted(maps.Keys(connzOrders))...)
	order := connzOrders[q.choice("sort", orders...)]
	limit := q.limit()
	if err := q.err(); err != nil {
		badRequest(w, err)
		return
	}
	now := time.Now()
	list := []connzEntry{}
	if state != "closed" {
		for _, c := range cs.all() {
			list = append(list, entryOf(c.info(), now))
		}
	}
	if state != "open" {
		for _, past := range cs.closed() {
			list = append(list, past.entry())
		}
	}
	list = slices.DeleteFunc(list, func(e connzEntry) bool {
		reason := q.values.Get("reason")
		return !strings.Contains(e.Name, q.values.Get("name")) ||
			!strings.Contains(e.Peer, q.values.Get("peer")) ||
			!strings.Contains(e.Identity, q.values.Get("identity")) ||
			reason != "" && e.Reason != reason
	})
	if order != nil {
		slices.SortStableFunc(list, order)
	}
	out := connz{Now: now, Matched: len(list), Connections: list[:min(limit, len(list))]}
	out.Open, out.Closed = cs.count()
	if lately > 0 {
		l.addLatencies(out.Connections, now.Add(-lately))
	}
	writeJSON(w, http.StatusOK, out)
}

func (l connectionLister) addLatencies(list []connzEntry, since time.Time) {
	byName := make(map[string]flight.Latency)
	for conn, latency := range l.recorder.Latencies(since) {
		byName[conn.Name] = latency
	}
	for i := range list {
		if of, known := byName[list[i].Name]; known {
			list[i].Latency = &connzLatency{of.Requests, float64(of.P50) / 1e3, float64(of.P99) / 1e3}
		}
	}
}

func entryOf(c connectionInfo, until time.Time) connzEntry {
	return connzEntry{
		id: c.id, Name: c.name, State: "open", Peer: c.peer, Identity: c.identity, Listener: c.listener,
		Opened: c.opened, AgeSeconds: until.Sub(c.opened).Seconds(), Features: c.features.Names(), Stats: statsOf(c.stats),
	}
}

func (c closedConnection) entry() connzEntry {
	e := entryOf(c.connectionInfo, c.closed)
	e.State, e.Closed, e.Reason = "closed", &c.closed, c.reason.String()
	if c.err != nil {
		e.Cause = c.err.Error()
	}
	return e
}

func statsOf(s stream.Stats) connzStats {
	return connzStats{
		PacketsReceived: s.PacketsReceived, BytesReceived: s.BytesReceived,
		PacketsSent: s.PacketsSent, BytesSent: s.BytesSent,
		RequestsReceived: s.RequestsReceived, ResponsesSent: s.ResponsesSent,
		CallsSent: s.CallsSent, CallsAnswered: s.CallsAnswered, Stalls: s.Stalls,
		InFlight: s.InFlight, Serving: s.Serving, Queued: s.Queued, QueuedBytes: s.QueuedBytes,
		SendQueued: s.SendQueued, Receiving: s.Receiving, Paused: s.Paused, Unanswered: s.Unanswered,
		RoundTripUS: float64(s.RoundTrip) / 1e3,
	}
}
