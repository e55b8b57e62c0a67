package top

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

func us(n float64) *float64 { return &n }

func TestBetween(t *testing.T) {
	f := Between(sample(10), sample(14))
	f.Sort(ByRate, false)
	want := &Figures{
		Seconds: 4, UptimeSeconds: 14, Connections: 2, Serving: 3, Queued: 4, InFlight: 1,
		Requests: 101, Calls: 2, Errors: 11, P50US: us(10), P99US: us(25),
		BytesReceived: 5000, BytesSent: 7000, PacketsReceived: 103, PacketsSent: 104, Stalls: 1,
		Types: []Type{
			{"Echo", "server", 100, 10, us(10), us(25), us(20), 3, map[string]float64{"ok": 90, "rejected": 10}, 1400, 1000, 2000},
			{"Echo", "client", 2, 1, us(200), us(200), us(200), 1, map[string]float64{"ok": 1, "lost": 1}, 28, 7, 5},
			{"Sleep", "server", 1, 0, us(50_000), us(50_000), us(50_000), 0, map[string]float64{"ok": 1}, 14, 4, 0},
		},
		Conns: []Conn{
			{
				Conn: "tcp-9", Peer: "192.0.2.1:4711", Opened: after(1), AgeSeconds: 13, Requests: 60, Responses: 59,
				BytesReceived: 3000, BytesSent: 1000, Stalls: 1, Serving: 3, P99US: us(25), SendQueued: 77,
			},
			{
				Conn: "tcp-10", Peer: "192.0.2.2:4711", Identity: "importer", Opened: after(2), AgeSeconds: 12, Requests: 41,
				Responses: 41, Calls: 2, BytesReceived: 2000, BytesSent: 6000, Queued: 4, InFlight: 1, Paused: true,
			},
		},
	}
	same(t, f, want)
}

// same compares all that is written as JSON, and so shows where the difference is.
func same(t *testing.T, got, want any) {
	t.Helper()
	if reflect.DeepEqual(got, want) {
		return
	}
	g, _ := json.Marshal(got)
	w, _ := json.Marshal(want)
	t.Errorf("%s\nwant\n%s", g, w)
}

// Between one sample and none, or itself, are levels only.
func TestNoInterval(t *testing.T) {
	set := sample(14)
	set.Totals.Now = after(9)
	set.Conns.Now = after(9)
	for name, f := range map[string]*Figures{
		"the first": Between(nil, sample(10)), "the same": Between(sample(10), sample(10)),
		"a clock set back": Between(sample(10), set),
	} {
		if f.Seconds != 0 || f.Requests != 0 || f.Restarted || f.BytesSent != 0 || f.Conns[0].Requests != 0 || f.Types[1].Total < 1000 || f.Connections != 2 {
			t.Errorf("%s: %+v", name, f)
		}
	}
	if f := Between(nil, sample(10)); f.P50US != nil || f.Types[0].P99US != nil || f.Types[0].MeanUS != nil {
		t.Errorf("%+v", f)
	}
}

// A server that was started anew is one whose counters, or whose start, say so. All that
// it has counted is of the time since then.
func TestRestart(t *testing.T) {
	late := sample(5)
	late.Totals.Started, late.Totals.Now, late.Conns.Now = after(20), after(25), after(25)
	for i := range late.Conns.List {
		late.Conns.List[i].Opened = after(21)
	}
	f := Between(sample(10), late)
	f.Sort(ByRate, false)
	if !f.Restarted || f.Seconds != 5 || f.UptimeSeconds != 5 || f.Requests != 101 || f.BytesReceived != 5000 || f.Conns[0].Requests != 60 || *f.Types[0].P50US != 10 {
		t.Errorf("%+v", f)
	}
	for name, change := range map[string]func(*Totals){
		"bytes received":   func(t *Totals) { t.BytesReceived = 1 },
		"bytes sent":       func(t *Totals) { t.BytesSent = 1 },
		"packets received": func(t *Totals) { t.PacketsReceived = 1 },
		"packets sent":     func(t *Totals) { t.PacketsSent = 1 },
		"stalls":           func(t *Totals) { t.Stalls = 1 },
		"an outcome":       func(t *Totals) { t.Requests[0].Outcomes["ok"] = 1 },
		"a type":           func(t *Totals) { t.Requests = t.Requests[:2] },
		"start":            func(t *Totals) { t.Started = t.Started.Add(time.Nanosecond) },
	} {
		s := sample(14)
		change(&s.Totals)
		if !Between(sample(10), s).Restarted {
			t.Errorf("%s: not seen", name)
		}
	}
}

// Connections that were not in the list before.
func TestNewConnections(t *testing.T) {
	tests := []struct {
		name    string
		opened  float64 // of the one that is not in the first list
		matched int     // in the first list
		want    float64 // its requests in a second
	}{
		{"opened since", 11, 1, 140},
		{"accepted before, registered since", 9.9, 1, 140},
		{"opened since, others were left out", 11, 5, 140},
		{"was left out", 9, 5, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			first, second := sample(10), sample(14)
			first.Conns.List, first.Conns.Matched = first.Conns.List[1:], tt.matched
			second.Conns.List[0].Opened = after(tt.opened)
			second.Conns.List[0].Stats.RequestsReceived = 560
			if got := Between(first, second).Conns[0].Requests; got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
	// One of the same name, opened anew, is another.
	first, second := sample(10), sample(14)
	second.Conns.List[0].Opened = after(12)
	second.Conns.List[0].Stats.RequestsReceived = 8
	if got := Between(first, second).Conns[0].Requests; got != 2 {
		t.Errorf("opened anew: %v, want 2", got)
	}
	second.Conns.Matched = 50
	if got := Between(first, second).ConnsLeftOut; got != 48 {
		t.Errorf("%d left out, want 48", got)
	}
}

// A type that had no request before is in the interval with all of them.
func TestNewType(t *testing.T) {
	first := sample(10)
	first.Totals.Requests = first.Totals.Requests[1:]
	if got := Between(first, sample(14)).Types[0]; got.Type != "Sleep" || got.PerS != 3.5 {
		t.Errorf("%+v", got)
	}
}

func TestPercentile(t *testing.T) {
	hundred := []Bucket{{10, 50}, {20, 49}, {1000, 1}}
	tests := []struct {
		name    string
		buckets []Bucket
		q       float64
		want    *float64
	}{
		{"none", nil, 0.5, nil},
		{"empty buckets", []Bucket{{10, 0}}, 0.5, nil},
		{"one", []Bucket{{7.5, 1}}, 0.99, us(7.5)},
		{"at the end of a bucket", hundred, 0.5, us(10)},
		{"just in the next", hundred, 0.51, us(20)},
		{"p99 of 100 is the 99th", hundred, 0.99, us(20)},
		{"the last", hundred, 1, us(1000)},
		{"p99 of 101 is the 100th", []Bucket{{10, 99}, {1000, 2}}, 0.99, us(1000)},
		{"two of each, in any order", []Bucket{{20, 1}, {10, 1}, {20, 1}, {10, 1}}, 0.5, us(10)},
		{"of no duration", []Bucket{{0, 3}}, 0.5, us(0)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { same(t, percentile(tt.buckets, tt.q), tt.want) })
	}
}

func TestAdded(t *testing.T) {
	before := []Bucket{{10, 5}, {20, 3}, {40, 9}}
	now := []Bucket{{5, 1}, {10, 5}, {20, 10}, {40, 8}, {80, 2}}
	same(t, added(before, now), []Bucket{{5, 1}, {20, 7}, {80, 2}})
}

func TestLimit(t *testing.T) {
	for n, want := range map[int][4]int{0: {0, 0, 3, 2}, 2: {2, 2, 1, 0}, 9: {3, 2, 0, 0}} {
		f := Between(sample(10), sample(14))
		f.Limit(n)
		if got := [4]int{len(f.Types), len(f.Conns), f.TypesLeftOut, f.ConnsLeftOut}; got != want {
			t.Errorf("%d: %v, want %v", n, got, want)
		}
	}
}

// What tools read: without an answer there are no figures that could be taken for zeros.
func TestIntervalAsJSON(t *testing.T) {
	got, err := json.Marshal(&Interval{Now: begun, Error: "gone"})
	if want := `{"now":"2026-01-02T03:00:00Z","error":"gone"}`; err != nil || string(got) != want {
		t.Errorf("%s (%v), want %s", got, err, want)
	}
	f := Between(nil, &Sample{Totals: Totals{Now: after(3), Started: begun}})
	got, err = json.Marshal(&Interval{Now: after(3), Figures: f})
	want := `{"now":"2026-01-02T03:00:03Z","seconds":0,"restarted":false,"uptime_seconds":3,"connections":0,"serving":0,` +
		`"queued":0,"in_flight":0,"requests_per_s":0,"calls_per_s":0,"errors_per_s":0,"p50_us":null,"p99_us":null,` +
		`"bytes_received_per_s":0,"bytes_sent_per_s":0,"packets_received_per_s":0,"packets_sent_per_s":0,"stalls_per_s":0,` +
		`"types":[],"conns":[],"types_left_out":0,"conns_left_out":0}`
	if err != nil || string(got) != want {
		t.Errorf("%s (%v), want\n%s", got, err, want)
	}
}

func TestCheck(t *testing.T) {
	if err := sample(3).Check(); err != nil {
		t.Error(err)
	}
	if err := new(Sample).Check(); err == nil {
		t.Error("an empty object is a sample")
	}
}
