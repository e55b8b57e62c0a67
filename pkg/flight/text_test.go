package flight

import (
	"strings"
	"testing"
	"time"
)

var sample = Request{
	Conn: "tcp-9", Peer: "192.0.2.1:5", Tag: 4711, Type: 5, Method: "Sleep", Role: "server", State: "done", Outcome: "ok",
	Started: time.Date(2026, 11, 26, 8, 5, 42, 0, time.Local), DurationUS: 400_000,
	StagesUS: map[string]int64{"received": 0, "queued": 0, "started": 100_000, "handler_done": 400_000, "response_written": 500_000},
	Slowest:  "handler", RequestBytes: 3, Because: "slow",
}

func TestWaterfall(t *testing.T) {
	running, waiting, escape := sample, sample, sample
	running.State, running.Outcome, running.DurationUS = "running", "pending", 1_000_000
	running.StagesUS = map[string]int64{"received": 0, "queued": 0, "started": 500_000}
	waiting.Role, waiting.State, waiting.Slowest = "client", "waiting", "peer"
	waiting.StagesUS = map[string]int64{"submitted": 0, "encoded": 0, "written": 200_000}
	told := waiting
	told.State, told.Slowest, told.DurationUS, told.PeerTimes = "done", "peer_handler", 400_000, &PeerTimes{60_000, 100_000}
	told.StagesUS = map[string]int64{"submitted": 0, "encoded": 0, "written": 200_000, "response_received": 400_000, "delivered": 400_000}
	escape.Label, escape.Error = "\x1b[2J", "rejected: no"
	for _, tt := range []struct {
		name string
		q    Request
		want []string
	}{
		{"ended", sample, []string{
			"tcp-9/4711  server of Sleep(5)  ok  400ms",
			"  peer      192.0.2.1:5",
			"  notable   slow",
			"  queue        █████████                                               100ms",
			"  handler               █████████████████████████████                  300ms  ← most of it",
			"  write                                              ██████████        100ms",
		}},
		{"running", running, []string{
			"  queue        ████████████████████████                                500ms",
			"  handler                              ████████████████████████        500ms  ← most of it  (still)",
		}},
		{"waiting", waiting, []string{
			"  write        ████████████████████████                                200ms",
			"  peer                                 ████████████████████████        200ms  ← most of it  (still)",
		}},
		{"answered by a peer that tells its times", told, []string{
			"  write        ████████████████████████                                200ms",
			"  wire                                 ████                             40ms",
			"  peer_queue                             ███████                        60ms",
			"  peer_handler                                  ████████████           100ms  ← most of it",
		}},
		{"what a peer has chosen", escape, []string{`  label     "\x1b[2J"`, "  error     rejected: no"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b strings.Builder
			if err := tt.q.WriteWaterfall(&b); err != nil {
				t.Fatal(err)
			}
			for _, line := range tt.want {
				if !strings.Contains(b.String(), line+"\n") {
					t.Errorf("no line\n%s\nin\n%s", line, b.String())
				}
			}
		})
	}
}

func TestTableAndLine(t *testing.T) {
	failed := sample
	failed.Channel, failed.Outcome, failed.Reason, failed.Error, failed.Because, failed.TraceID = 3, "rejected", "panic", "oh", "failed", "0123"
	var b strings.Builder
	if err := WriteTable(&b, []Request{sample, failed}); err != nil {
		t.Fatal(err)
	}
	want := `STARTED       REQUEST       ROLE    TYPE      OUTCOME         TOOK   MOSTLY IN  NOTABLE BECAUSE
08:05:42.000  tcp-9/4711    server  Sleep(5)  ok              400ms  handler    slow
08:05:42.000  tcp-9/3/4711  server  Sleep(5)  rejected panic  400ms  handler    failed: oh
`
	if b.String() != want {
		t.Errorf("%s\nwant\n%s", b.String(), want)
	}
	line := "08:05:42.000  tcp-9/3/4711  server Sleep(5)  rejected panic  400ms, mostly in handler  because=failed  error=oh  trace=0123"
	if got := failed.Line(); got != line {
		t.Errorf("%s\nwant\n%s", got, line)
	}
}
