package top

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// begun is when the server of tests was started.
var begun = time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)

func after(seconds float64) time.Time {
	return begun.Add(time.Duration(seconds * float64(time.Second)))
}

// sample is one of a server that has served for some seconds: each of them 100 requests of
// type Echo, of which 10 were rejected, 1 of type Sleep and 2 calls, on two connections.
func sample(seconds int) *Sample {
	n := uint64(seconds)
	now := after(float64(seconds))
	s := &Sample{
		Totals: Totals{
			Now: now, Started: begun, Connections: 2, InFlight: 1, Serving: 3, Queued: 4,
			BytesReceived: 5000 * n, BytesSent: 7000 * n, PacketsReceived: 103 * n, PacketsSent: 104 * n, Stalls: n,
			Requests: []Requests{
				{"Sleep", "server", map[string]uint64{"ok": n}, 0, 50_000 * int64(n), []Bucket{{50_000, float64(n)}}, 4 * n, 0},
				{"Echo", "server", map[string]uint64{"ok": 90 * n, "rejected": 10 * n}, 3, 2000 * int64(n), []Bucket{{10, 70 * float64(n)}, {25, 30 * float64(n)}}, 1000 * n, 2000 * n},
				{"Echo", "client", map[string]uint64{"ok": n, "lost": n}, 1, 400 * int64(n), []Bucket{{200, 2 * float64(n)}}, 7 * n, 5 * n},
			},
		},
		Conns: Connections{Now: now, Matched: 2, List: []Connection{
			{Name: "tcp-9", Peer: "192.0.2.1:4711", Opened: after(1), AgeSeconds: float64(seconds - 1), Latency: &struct {
				P99US float64 `json:"p99_us"`
			}{25}, Stats: ConnectionStats{
				BytesReceived: 3000 * n, BytesSent: 1000 * n, RequestsReceived: 60 * n, ResponsesSent: 59 * n, Stalls: n, Serving: 3, SendQueued: 77,
			}},
			{Name: "tcp-10", Peer: "192.0.2.2:4711", Identity: "importer", Opened: after(2), AgeSeconds: float64(seconds - 2), Stats: ConnectionStats{
				BytesReceived: 2000 * n, BytesSent: 6000 * n, RequestsReceived: 41 * n, ResponsesSent: 41 * n, CallsSent: 2 * n, Queued: 4, InFlight: 1, Paused: true,
			}},
		}},
	}
	return s
}
