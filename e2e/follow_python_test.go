package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// peer runs the Python package as the other side.
func peer(t *testing.T, args ...string) *process {
	t.Helper()
	path := os.Getenv("PKTSVC_PYTHON")
	if path == "" {
		var err error
		if path, err = filepath.Abs("../interop/.venv/bin/python"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: interop/install makes it", err)
	}
	return run(t, program{name: "python", path: path, args: append([]string{"../interop/peer.py"}, args...)})
}

// The Python package asks, and one of its requests is slow. It knows nothing of traces, but
// the relay and the service behind tell all of theirs.
func TestFollowPythonAsks(t *testing.T) {
	const slow = 400 * time.Millisecond // of one request of the scenario, which has ten others
	j := startJaeger(t)
	env := append(j.environmentUnsampled(), "PKTSVC_RECORDER_SLOW=300ms")
	behind := serve(t, program{env: env})
	socket := filepath.Join(t.TempDir(), "s")
	middle := relay(t, behind.addr, append(env, "PKTSVC_LISTEN=unix://"+socket))
	atRelay := startTap(t, middle.admin, "role=server", "type=Sleep")

	p := peer(t, "client", socket, "0", "order")
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		t.Fatal("the Python side does not end")
	}
	if p.err != nil {
		t.Fatalf("the Python side: %v\n%s", p.err, p.tail(20))
	}

	tapped := atRelay.one(t)
	answers := notable(t, middle.admin, "server", "type=Sleep")
	if answers.Tag != tapped.Tag || answers.TraceID != tapped.TraceID || answers.Slowest != "handler" || answers.DurationUS < slow.Microseconds() {
		t.Errorf("the relay remembers %+v, its tap has shown %+v", answers, tapped)
	}
	asks, serves := notable(t, middle.admin, "client", "type=Sleep"), notable(t, behind.admin, "server", "type=Sleep")
	if asks.Slowest != "peer_handler" || asks.Tag != serves.Tag || asks.TraceID != serves.TraceID {
		t.Errorf("the relay asks %+v, behind that is %+v", asks, serves)
	}
	j.has(t, answers.TraceID, "relay server")
	j.has(t, asks.TraceID, "relay client", "pktsvc server")
}

// The Python package answers slowly. Where in it the time went it does not tell, but that
// it was there.
func TestFollowPythonAnswers(t *testing.T) {
	j := startJaeger(t)
	observed := observe(t, j, time.Second)
	socket := filepath.Join(t.TempDir(), "s")
	p := peer(t, "serve", socket, "0")
	eventually(t, time.Minute, "the Python side listens", func() error {
		select {
		case <-p.done:
			t.Fatalf("the Python side has ended: %v\n%s", p.err, p.tail(20))
		default:
		}
		if p.tail(1) != "listening" { // it takes one connection: not to be tried
			return fmt.Errorf("it says %q", p.tail(1))
		}
		return nil
	})
	client := call(t, observed, "unix", socket)
	const echo, sleep = 100, 106 // types of peer.py
	var tag uint64
	for _, req := range []stream.Request{{Type: echo}, {Type: sleep, Payload: []byte("1500")}, {Type: echo}} {
		one, err := client.Submit(t.Context(), req)
		if err == nil {
			_, err = one.Wait(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		if req.Type == sleep {
			tag = one.Tag()
		}
	}
	q := notable(t, strings.TrimPrefix(observed.AdminURL(), "http://"), "client", "type="+strconv.Itoa(sleep))
	if q.Tag != tag || q.Slowest != "peer" || q.PeerTimes != nil || q.StagesUS["written"] > 500_000 || q.StagesUS["response_received"] < 1_500_000 {
		t.Errorf("tag %d is %+v", tag, q)
	}
	j.has(t, q.TraceID, "caller client")
}

// has waits until a trace has these spans, by service and kind, and no others.
func (j *jaeger) has(t *testing.T, id string, want ...string) {
	t.Helper()
	eventually(t, time.Minute, "the trace is there", func() error {
		spans, err := j.trace(id)
		if err != nil {
			return err
		}
		kinds := make(map[string]bool)
		for i := range spans {
			kinds[spans[i].service+" "+spans[i].tags()["span.kind"]] = true
		}
		for _, kind := range want {
			if !kinds[kind] || len(kinds) != len(want) {
				return fmt.Errorf("trace %s has %v, want %v", id, kinds, want)
			}
		}
		return nil
	})
}
