package metrics

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// BenchmarkScrape is one scrape as the admin server answers it, with open
// connections, which are each asked for their counters, and histograms that are as
// full as they get. docs/OPERATIONS.md has the figures.
func BenchmarkScrape(b *testing.B) {
	for _, format := range []struct{ name, accept string }{
		{"openmetrics", "application/openmetrics-text;version=1.0.0"},
		{"protobuf", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"},
	} {
		for _, conns := range []int{0, 1_000, 10_000} {
			b.Run(fmt.Sprintf("%s/connections=%d", format.name, conns), func(b *testing.B) {
				benchmarkScrape(b, conns, format.accept)
			})
		}
	}
}

func benchmarkScrape(b *testing.B, conns int, accept string) {
	reg := prometheus.NewRegistry()
	m, err := New(reg, Options{
		Types:   typeNames,
		TraceID: func(context.Context) (string, bool) { return "0af7651916cd43dd8448eb211c80319c", true },
	})
	if err != nil {
		b.Fatal(err)
	}
	for range conns {
		openIdle(b, m)
	}
	fillHistograms(m)
	page := promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true})
	request := httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody)
	request.Header.Set("Accept", accept)
	size := 0
	b.ReportAllocs()
	for b.Loop() {
		answer := httptest.NewRecorder()
		page.ServeHTTP(answer, request)
		if answer.Code != http.StatusOK {
			b.Fatalf("the scrape was answered %d: %s", answer.Code, answer.Body)
		}
		size = answer.Body.Len()
	}
	b.ReportMetric(float64(size), "bytes/scrape")
}

// openIdle opens a connection whose peer sends nothing.
func openIdle(b *testing.B, o stream.Observer) {
	here, there := net.Pipe()
	conn, err := stream.NewConn(here, stream.Options{Handler: testMux(nil), Observer: o})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = conn.Close()
		_ = here.Close()
		_ = there.Close()
	})
}

// fillHistograms gives the histogram of every type and role a wide spread of
// durations, so that its native buckets are at their bound.
func fillHistograms(m *Observer) {
	for typ := range uint64(len(typeNames) + 1) { // the last is one without a name
		for _, kind := range []stream.EventKind{stream.EventRequestDone, stream.EventCallDone} {
			for d := time.Microsecond; d < time.Minute; d += d / 20 {
				m.Observe(context.Background(), &stream.Event{
					Kind: kind, Outcome: stream.OutcomeOK, Duration: d,
					Packet: stream.Packet{Kind: stream.KindRequest, Type: typ},
				})
			}
		}
	}
}
