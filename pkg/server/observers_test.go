package server_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pktsvc/pktsvc/pkg/server"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// collector is an OTLP endpoint that keeps what it gets.
func collector(t *testing.T, serve http.HandlerFunc) {
	t.Helper()
	s := httptest.NewServer(serve)
	t.Cleanup(s.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", s.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000") // only the end exports
}

// The spans of the last requests leave when the server stops, and the durations
// of requests carry their traces as exemplars.
func TestTracesLeaveAtTheEnd(t *testing.T) {
	bodies := make(chan []byte, 10)
	collector(t, func(_ http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		bodies <- b
	})
	r := start(t, nil)
	echo(t, r.connect(t), "traced")

	req, err := http.NewRequest(http.MethodGet, r.admin.URL()+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	eventually(t, "an exemplar is shown", func() bool {
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Contains(text, []byte(`# {trace_id="`))
	})
	http.DefaultClient.CloseIdleConnections()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	body := wait(t, "spans arrive", bodies)
	for _, want := range []string{"Echo", "server.address", "network.peer.address", "127.0.0.1", "pktsvc.conn", "tcp-1"} {
		if !bytes.Contains(body, []byte(want)) {
			t.Errorf("the spans do not contain %q", want)
		}
	}
}

// A collector that does not answer holds the end up for its budget and no longer.
func TestTracesThatCannotLeave(t *testing.T) {
	release := make(chan struct{})
	collector(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	r := start(t, func(c *server.Config) { c.Drain.Telemetry = 300 * time.Millisecond })
	echo(t, r.connect(t), "traced")
	began := time.Now()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the end took %v", took)
	}
	if r.logs.FilterMessage("the last traces have not left").Len() != 1 {
		t.Error("that traces were lost is not logged")
	}
}

// A request that is not sampled, but fails, has one trace in all signals.
func TestTraceOfAFailureIsNamedEverywhere(t *testing.T) {
	collector(t, func(http.ResponseWriter, *http.Request) {})
	t.Setenv("OTEL_TRACES_SAMPLER", "always_off")
	r := start(t, func(c *server.Config) { c.Log.Slow = time.Nanosecond })
	conn := r.connect(t)
	echo(t, conn, "well")
	if _, err := conn.Call(t.Context(), stream.Request{Type: 99}); err == nil {
		t.Fatal("it is served")
	}
	var got requestList
	eventually(t, "it is notable", func() bool {
		r.getJSON(t, "/requestz?state=notable", &got)
		return got.Matched == 1
	})
	id := got.Requests[0].TraceID
	lines := r.logs.FilterMessage("request rejected").All()
	if len(lines) != 1 || id == "" || lines[0].ContextMap()["trace_id"] != id {
		t.Errorf("trace %q, logged %v", id, lines)
	}
	// One that is slow to the log, but not to the recorder, has none.
	if slow := r.logs.FilterMessage("slow request").All(); len(slow) != 1 || slow[0].ContextMap()["trace_id"] != nil {
		t.Errorf("%v", slow)
	}
}

func TestNoTracingUnlessAsked(t *testing.T) {
	collector(t, func(http.ResponseWriter, *http.Request) { t.Error("something was exported") })
	r := start(t, func(c *server.Config) { c.Tracing.Enabled = "off" })
	echo(t, r.connect(t), "not traced")
	eventually(t, "the request is counted", func() bool {
		_, body := r.get(t, "/metrics")
		return strings.Contains(body, `pktsvc_requests_total{outcome="ok",role="server",type="Echo"} 1`)
	})
}
