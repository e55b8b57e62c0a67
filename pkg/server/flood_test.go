package server_test

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pktsvc/pktsvc/pkg/server"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// A storm of connections that say nothing, garbage, half a packet or many
// requests, and hang up, is counted to the last one, and leaves nothing. Who is
// connected besides is served all the time.
func TestConnectionFlood(t *testing.T) {
	const dialers, each = 8, 250
	r := start(t, func(c *server.Config) { c.Limits.ConnectionsPerPeer = dialers + 1 })
	bystander := r.connect(t)
	sayings := []string{
		"", "GET / HTTP/1.1\r\n\r\n", "\xff\xff", "\x10\x02\x82",
		strings.Repeat("\x04\x02\x02\x01x", 200),
	}
	network, target, _ := strings.Cut(r.packets.Addresses()[0], "://")
	var dialled atomic.Int64
	var storm sync.WaitGroup
	for i := range dialers {
		storm.Go(func() {
			for j := range each {
				nc, err := net.DialTimeout(network, target, 10*time.Second)
				if err != nil {
					t.Error(err)
					return
				}
				dialled.Add(1)
				_, _ = nc.Write([]byte(sayings[(i+j)%len(sayings)])) // it may be refused
				nc.Close()
			}
		})
	}
	over := make(chan struct{})
	go func() { storm.Wait(); close(over) }()
	calls := 0
	for going := true; going; calls++ {
		select {
		case <-over:
			going = false
		default:
		}
		if _, err := bystander.Call(t.Context(), stream.Request{Type: typeEcho, Payload: []byte("still here")}); err != nil {
			t.Fatalf("the bystander: %v", err)
		}
	}
	var got listing
	eventually(t, "only the bystander is left, and all others are counted", func() bool {
		r.getJSON(t, "/connz?state=open", &got)
		ended := 0
		for _, n := range got.Closed {
			ended += n
		}
		_, metrics := r.get(t, "/metrics")
		var refused, refusedPeer int
		for line := range strings.Lines(metrics) {
			_, _ = fmt.Sscanf(line, `pktsvc_server_connections_refused_total{reason="connections"} %d`, &refused)
			_, _ = fmt.Sscanf(line, `pktsvc_server_connections_refused_total{reason="connections_per_peer"} %d`, &refusedPeer)
		}
		return got.Open == 1 && ended+refused+refusedPeer == int(dialled.Load())
	})
	t.Logf("guarantee: TestConnectionFlood %d connections, %d calls beside them", dialled.Load(), calls)
}
