package top

import "time"

// Interval is what has happened between two polls, or that the server did not answer.
// It is only data, like [Sample].
type Interval struct {
	Now   time.Time `json:"now"`             // by the server's clock, or this side's while it does not answer
	Error string    `json:"error,omitempty"` // why there are no figures

	*Figures // nil if there is an error
}

// Figures are what has happened between two samples, and the levels at the second.
// Latencies of an interval in which nothing ended are nil.
type Figures struct {
	Seconds       float64 `json:"seconds"` // of the interval; 0: there is none yet, and no rates
	Restarted     bool    `json:"restarted"`
	UptimeSeconds float64 `json:"uptime_seconds"`

	Connections     int      `json:"connections"` // open ones
	Serving         int      `json:"serving"`     // handlers that run
	Queued          int      `json:"queued"`      // requests that wait for one
	InFlight        int      `json:"in_flight"`   // calls of the server
	Requests        float64  `json:"requests_per_s"`
	Calls           float64  `json:"calls_per_s"`
	Errors          float64  `json:"errors_per_s"` // of both
	P50US           *float64 `json:"p50_us"`       // of requests
	P99US           *float64 `json:"p99_us"`
	BytesReceived   float64  `json:"bytes_received_per_s"`
	BytesSent       float64  `json:"bytes_sent_per_s"`
	PacketsReceived float64  `json:"packets_received_per_s"`
	PacketsSent     float64  `json:"packets_sent_per_s"`
	Stalls          float64  `json:"stalls_per_s"`

	Types        []Type `json:"types"`
	Conns        []Conn `json:"conns"`
	TypesLeftOut int    `json:"types_left_out"` // for the sake of a limit
	ConnsLeftOut int    `json:"conns_left_out"`
}

// Type is a request type in one role of the server: those that it answered, or its calls.
type Type struct {
	Type     string             `json:"type"`
	Role     string             `json:"role"`
	PerS     float64            `json:"per_s"` // that ended
	Errors   float64            `json:"errors_per_s"`
	P50US    *float64           `json:"p50_us"`
	P99US    *float64           `json:"p99_us"`
	MeanUS   *float64           `json:"mean_us"`
	InFlight int                `json:"in_flight"`
	Outcomes map[string]float64 `json:"outcomes_per_s"`
	Total    uint64             `json:"total"` // since the server's start

	RequestBytes  float64 `json:"request_bytes_per_s"` // of payloads
	ResponseBytes float64 `json:"response_bytes_per_s"`
}

// Conn is an open connection.
type Conn struct {
	Conn          string    `json:"conn"`
	Peer          string    `json:"peer"`
	Identity      string    `json:"identity,omitempty"`
	Opened        time.Time `json:"opened"`
	AgeSeconds    float64   `json:"age_seconds"`
	Requests      float64   `json:"requests_per_s"`
	Responses     float64   `json:"responses_per_s"`
	Calls         float64   `json:"calls_per_s"`
	BytesReceived float64   `json:"bytes_received_per_s"`
	BytesSent     float64   `json:"bytes_sent_per_s"`
	Stalls        float64   `json:"stalls_per_s"`
	Serving       int       `json:"serving"`
	Queued        int       `json:"queued"`
	InFlight      int       `json:"in_flight"`
	P99US         *float64  `json:"p99_us"` // of its last requests
	SendQueued    int       `json:"send_queued"`
	Paused        bool      `json:"paused"`
}

const roleServer = "server"

// Between calculates the figures of the interval between two samples. Without one before
// there are levels only. If the server was started anew meanwhile the interval is the time
// since then. It may be called concurrently and does not block; the rows are in no order.
func Between(before, after *Sample) *Figures {
	t := &after.Totals
	f := &Figures{
		UptimeSeconds: t.Now.Sub(t.Started).Seconds(),
		Connections:   t.Connections, Serving: t.Serving, Queued: t.Queued, InFlight: t.InFlight,
		Types: []Type{}, Conns: []Conn{},
	}
	if before == nil {
		before = after
	} else if f.Restarted = t.wentBack(&before.Totals); f.Restarted {
		before = &Sample{Totals: Totals{Now: t.Started}, Conns: Connections{Now: t.Started}}
	}
	// The clock is the server's, since the time that an answer takes to arrive varies. If
	// it was set back there is no interval.
	since := per(t.Now.Sub(before.Totals.Now))
	f.Seconds = since.seconds
	f.BytesReceived = since.rate(before.Totals.BytesReceived, t.BytesReceived)
	f.BytesSent = since.rate(before.Totals.BytesSent, t.BytesSent)
	f.PacketsReceived = since.rate(before.Totals.PacketsReceived, t.PacketsReceived)
	f.PacketsSent = since.rate(before.Totals.PacketsSent, t.PacketsSent)
	f.Stalls = since.rate(before.Totals.Stalls, t.Stalls)
	f.addTypes(before.Totals.Requests, t.Requests, since)
	f.addConns(&before.Conns, &after.Conns)
	return f
}

func (f *Figures) addTypes(before, after []Requests, since span) {
	old := byName(before)
	var served []Bucket
	for i := range after {
		is, was := &after[i], &Requests{}
		if o := old[is.name()]; o != nil {
			was = o
		}
		all, failed := is.ended()
		allWas, failedWas := was.ended()
		t := Type{
			Type: is.Type, Role: is.Role, Total: all, InFlight: is.InFlight,
			PerS: since.rate(allWas, all), Errors: since.rate(failedWas, failed),
			Outcomes: make(map[string]float64),

			RequestBytes: since.rate(was.RequestBytes, is.RequestBytes), ResponseBytes: since.rate(was.ResponseBytes, is.ResponseBytes),
		}
		for outcome, n := range is.Outcomes {
			if r := since.rate(was.Outcomes[outcome], n); r > 0 {
				t.Outcomes[outcome] = r
			}
		}
		buckets := added(was.Buckets, is.Buckets)
		t.P50US, t.P99US = percentile(buckets, 0.5), percentile(buckets, 0.99)
		if n := count(buckets); n > 0 {
			mean := max(0, float64(is.SumUS-was.SumUS)/n)
			t.MeanUS = &mean
		}
		f.Errors += t.Errors
		if is.Role == roleServer {
			f.Requests += t.PerS
			served = append(served, buckets...)
		} else {
			f.Calls += t.PerS
		}
		f.Types = append(f.Types, t)
	}
	f.P50US, f.P99US = percentile(served, 0.5), percentile(served, 0.99)
}

func (f *Figures) addConns(before, after *Connections) {
	type name struct {
		name   string
		opened int64
	}
	old := make(map[name]*ConnectionStats, len(before.List))
	for i := range before.List {
		c := &before.List[i]
		old[name{c.Name, c.Opened.UnixNano()}] = &c.Stats
	}
	whole := before.Matched <= len(before.List)
	for i := range after.List {
		c := &after.List[i]
		is, was := &c.Stats, old[name{c.Name, c.Opened.UnixNano()}]
		since := per(after.Now.Sub(before.Now))
		switch {
		case was != nil:
		case whole || c.Opened.After(before.Now): // it is new: all that it has counted is of this interval
			was = &ConnectionStats{}
		default: // it was left out of the list before, so that nobody knows
			was = is
		}
		var p99 *float64
		if c.Latency != nil {
			p99 = &c.Latency.P99US
		}
		f.Conns = append(f.Conns, Conn{
			Conn: c.Name, Peer: c.Peer, Identity: c.Identity, Opened: c.Opened, AgeSeconds: c.AgeSeconds,
			Requests: since.rate(was.RequestsReceived, is.RequestsReceived), Responses: since.rate(was.ResponsesSent, is.ResponsesSent),
			Calls:         since.rate(was.CallsSent, is.CallsSent),
			BytesReceived: since.rate(was.BytesReceived, is.BytesReceived), BytesSent: since.rate(was.BytesSent, is.BytesSent),
			Stalls: since.rate(was.Stalls, is.Stalls), Serving: is.Serving, Queued: is.Queued, InFlight: is.InFlight,
			P99US: p99, SendQueued: is.SendQueued, Paused: is.Paused,
		})
	}
	f.ConnsLeftOut = max(0, after.Matched-len(after.List))
}

// Limit keeps the first so many types and connections. It changes f.
func (f *Figures) Limit(n int) {
	types, conns := min(n, len(f.Types)), min(n, len(f.Conns))
	f.TypesLeftOut += len(f.Types) - types
	f.ConnsLeftOut += len(f.Conns) - conns
	f.Types, f.Conns = f.Types[:types], f.Conns[:conns]
}

// span is the time that rates are of.
type span struct{ seconds float64 }

func per(d time.Duration) span { return span{max(0, d.Seconds())} }

// rate is 0 where a counter went back, which the counters of one type may do for a
// moment: a page is not made in one instant.
func (s span) rate(before, after uint64) float64 {
	if s.seconds == 0 || after < before {
		return 0
	}
	return float64(after-before) / s.seconds
}
