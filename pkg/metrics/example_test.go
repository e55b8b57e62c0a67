package metrics_test

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pktsvc/pktsvc/pkg/metrics"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// One observer for both ends of a connection, and what it has counted.
func Example() {
	mux := new(stream.Mux)
	mux.HandleFunc(1, "Upper", func(_ context.Context, req stream.Request) (stream.Response, error) {
		return stream.Text(strings.ToUpper(string(req.Payload))), nil
	})
	registry := prometheus.NewRegistry()
	observer, err := metrics.New(registry, metrics.Options{Types: mux.Names()})
	if err != nil {
		panic(err)
	}

	near, far := net.Pipe()
	client, _ := stream.NewConn(near, stream.Options{Observer: observer})
	server, _ := stream.NewConn(far, stream.Options{Observer: observer, Handler: mux})
	for range 3 {
		if _, err := client.Call(context.Background(), stream.Request{Type: 1, Payload: []byte("hello")}); err != nil {
			panic(err)
		}
	}
	go server.Shutdown(context.Background())
	client.Shutdown(context.Background())
	server.Shutdown(context.Background())

	fmt.Println(testutil.CollectAndCompare(observer, strings.NewReader(`
# HELP pktsvc_connections_closed_total Connections that have ended, by reason.
# TYPE pktsvc_connections_closed_total counter
pktsvc_connections_closed_total{reason="closed"} 0
pktsvc_connections_closed_total{reason="dead_peer"} 0
pktsvc_connections_closed_total{reason="linger"} 0
pktsvc_connections_closed_total{reason="malformed"} 0
pktsvc_connections_closed_total{reason="not_packets"} 0
pktsvc_connections_closed_total{reason="overload"} 0
pktsvc_connections_closed_total{reason="oversize"} 0
pktsvc_connections_closed_total{reason="read_error"} 0
pktsvc_connections_closed_total{reason="shutdown"} 2
pktsvc_connections_closed_total{reason="slow_consumer"} 0
pktsvc_connections_closed_total{reason="slow_sender"} 0
pktsvc_connections_closed_total{reason="stream_end"} 0
pktsvc_connections_closed_total{reason="timeout"} 0
pktsvc_connections_closed_total{reason="truncated"} 0
pktsvc_connections_closed_total{reason="write_error"} 0
# HELP pktsvc_packets_total Packets, ERQ and EOF included, by direction.
# TYPE pktsvc_packets_total counter
pktsvc_packets_total{direction="received"} 10
pktsvc_packets_total{direction="sent"} 10
`), "pktsvc_connections_closed_total", "pktsvc_packets_total"))
	// Output: <nil>
}
