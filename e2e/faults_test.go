package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// fault is one way in which something breaks, in a job of its own.
type fault struct {
	job string
	// alerts are those that must fire. Others may come along.
	alerts []string
	// prepare starts what is still well, and returns what Prometheus scrapes and
	// what breaks it. That is called when all targets have been scraped, and may
	// be nil if it is broken from the start.
	prepare func(t *testing.T) (targets []string, inject func())
}

// faults cover every alert but those of notCovered.
var faults = []fault{
	{"failing", []string{"PktsvcAvailabilityBurnFast", "PktsvcAvailabilityBurnSlow", "PktsvcTypeFailing", "PktsvcLogLinesDropped"},
		func(t *testing.T) ([]string, func()) {
			s := serve(t, program{})
			return []string{s.admin}, func() { s.bench(t, nil, "--concurrency", "8", "--rate", "300", "--type", "2") }
		}},
	{"slow", []string{"PktsvcLatencyBurnFast", "PktsvcLatencyBurnSlow"},
		func(t *testing.T) ([]string, func()) {
			s := serve(t, program{})
			return []string{s.admin}, func() { s.bench(t, nil, "--concurrency", "20", "--rate", "10", "--type", "5", "--data", "400") }
		}},
	{"stuck", []string{"PktsvcRequestsStuck"},
		func(t *testing.T) ([]string, func()) {
			s := serve(t, program{})
			return []string{s.admin}, func() { s.bench(t, nil, "--concurrency", "20", "--type", "5", "--data", "600000", "--timeout", "30m") }
		}},
	{"queued", []string{"PktsvcRequestsQueued"},
		func(t *testing.T) ([]string, func()) {
			s := serve(t, program{}, "--limits-max-handlers", "1")
			return []string{s.admin}, func() { s.bench(t, nil, "--concurrency", "300", "--type", "5", "--data", "1000", "--timeout", "30m") }
		}},
	{"paused", []string{"PktsvcReadersPaused"},
		func(t *testing.T) ([]string, func()) {
			// Peers that are told how many requests are taken would not send more.
			s := serve(t, program{}, "--limits-max-handlers", "1", "--limits-max-queued", "2", "--limits-without", "credit")
			return []string{s.admin}, func() {
				s.bench(t, nil, "--conns", "5", "--concurrency", "10", "--type", "5", "--data", "1000", "--timeout", "30m")
			}
		}},
	{"panicking", []string{"PktsvcHandlerPanics"},
		func(t *testing.T) ([]string, func()) {
			s := serve(t, embedding(t, handlerPanics))
			return []string{s.admin}, func() {
				_, err := s.connect(t).Call(t.Context(), stream.Request{})
				if !errors.Is(err, stream.ErrRejected) {
					t.Errorf("a handler that panics: %v", err)
				}
			}
		}},
	{"starting", []string{"PktsvcNotReady"},
		func(t *testing.T) ([]string, func()) {
			s := begin(t, embedding(t, neverReady), address(t), address(t))
			s.ready(t, s.url("/livez"))
			return []string{s.admin}, nil
		}},
	{"near-limit", []string{"PktsvcConnectionsNearLimit"},
		func(t *testing.T) ([]string, func()) {
			s := serve(t, program{}, "--limits-connections", "20")
			return []string{s.admin}, func() { s.bench(t, nil, "--conns", "19", "--concurrency", "1", "--rate", "20") }
		}},
	{"full", []string{"PktsvcConnectionsRefused"},
		func(t *testing.T) ([]string, func()) {
			s := serve(t, program{}, "--limits-connections", "5")
			return []string{s.admin}, func() {
				s.bench(t, nil, "--conns", "5", "--concurrency", "1", "--rate", "5")
				knock(t, s.addr, "")
			}
		}},
	{"greedy-peer", []string{"PktsvcConnectionsRefused"},
		func(t *testing.T) ([]string, func()) {
			s := serve(t, program{}, "--limits-connections-per-peer", "5")
			return []string{s.admin}, func() {
				s.bench(t, nil, "--conns", "5", "--concurrency", "1", "--rate", "5")
				knock(t, s.addr, "")
			}
		}},
	{"no-descriptors", []string{"PktsvcAcceptErrors"},
		func(t *testing.T) ([]string, func()) {
			p := embedding(t, hoardsFiles)
			p.files = 100
			s := serve(t, p)
			return []string{s.admin}, func() {
				if _, err := s.connect(t).Submit(t.Context(), stream.Request{}); err != nil {
					t.Error(err)
				}
				knock(t, s.addr, "")
			}
		}},
	{"few-descriptors", []string{"PktsvcFileDescriptorsNearLimit"},
		func(t *testing.T) ([]string, func()) {
			s := serve(t, program{files: 64})
			return []string{s.admin}, func() { s.bench(t, nil, "--conns", "45", "--concurrency", "1", "--rate", "10") }
		}},
	{"slow-consumers", []string{"PktsvcSlowConsumers"},
		func(t *testing.T) ([]string, func()) {
			s := serve(t, program{}, "--limits-write-timeout", "1s")
			return []string{s.admin}, func() {
				for range 12 {
					go flood(s.dial(t))
				}
			}
		}},
	{"not-packets", []string{"PktsvcProtocolErrors"},
		func(t *testing.T) ([]string, func()) {
			s := serve(t, program{})
			return []string{s.admin}, func() { knock(t, s.addr, "GET / HTTP/1.1\r\n\r\n") }
		}},
	{"draining", []string{"PktsvcDrainStuck"},
		func(t *testing.T) ([]string, func()) {
			s := serve(t, program{})
			return []string{s.admin}, func() {
				c := s.connect(t)
				if _, err := c.Submit(t.Context(), stream.Request{Type: 5, Payload: []byte("60000")}); err != nil {
					t.Error(err)
				}
				// An answer shows that what was sent before it has been accepted, too. A
				// server without requests would just end.
				if _, err := c.Call(t.Context(), stream.Request{Type: 0}); err != nil {
					t.Error(err)
				}
				s.signal(t, syscall.SIGTERM)
			}
		}},
	{"little-memory", []string{"PktsvcMemoryNearLimit"},
		func(t *testing.T) ([]string, func()) {
			s := serve(t, program{env: []string{"GOMEMLIMIT=4MiB"}})
			return []string{s.admin}, func() { s.bench(t, nil, "--conns", "50", "--concurrency", "4", "--rate", "100", "--size", "1000") }
		}},
	{"old-certificate", []string{"PktsvcCertificateExpiry"},
		func(t *testing.T) ([]string, func()) {
			return []string{serve(t, program{}, certified(t, 24*time.Hour)...).admin}, nil
		}},
	{"heavy-requests", []string{"PktsvcPeerMemoryNearLimit"},
		func(t *testing.T) ([]string, func()) {
			s := serve(t, program{}, "--limits-memory", "300000") // 8 KiB for each, and 1 KiB for its payload
			return []string{s.admin}, func() { s.bench(t, nil, "--concurrency", "30", "--type", "5", "--data", "600000", "--timeout", "30m") }
		}},
	{"log-disk-full", []string{"PktsvcLogLinesLost"},
		func(t *testing.T) ([]string, func()) {
			s := serve(t, program{log: device(t, "/dev/full")})
			return []string{s.admin}, func() { s.bench(t, nil, "--rate", "20", "--type", "2") }
		}},
	{"no-trace-backend", []string{"PktsvcSpansDropped"},
		func(t *testing.T) ([]string, func()) {
			s := serve(t, program{env: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + address(t), "OTEL_BSP_EXPORT_TIMEOUT=2000"}})
			return []string{s.admin}, func() { s.bench(t, nil, "--rate", "20") }
		}},
	{"bad-store", []string{"PktsvcStoreCorrupt", "PktsvcStoreFull", "PktsvcStoreErrors"},
		func(t *testing.T) ([]string, func()) {
			s := serve(t, embedding(t, storesBadly))
			return []string{s.admin}, func() { s.breakStore(t) }
		}},
	{"little-disk", []string{"PktsvcStoreNearlyFull"},
		func(t *testing.T) ([]string, func()) {
			return []string{serve(t, program{}, "--service", "store", "--data", t.TempDir(), "--disk-reserve", "1000000000000000").admin}, nil
		}},
	{"clients-rejected", []string{"PktsvcClientCallsFailing"},
		func(t *testing.T) ([]string, func()) {
			return []string{serve(t, program{}).bench(t, nil, "--rate", "20", "--type", "2").admin}, nil
		}},
	{"clients-unanswered", []string{"PktsvcClientCallsLost"},
		func(t *testing.T) ([]string, func()) {
			return []string{serve(t, program{}).bench(t, nil, "--rate", "10", "--concurrency", "20", "--type", "5", "--data", "5000", "--timeout", "500ms").admin}, nil
		}},
	{"crashing", []string{"PktsvcRestarting"},
		func(t *testing.T) ([]string, func()) {
			s := serve(t, program{})
			return []string{s.admin}, func() {
				for range 3 {
					s.kill()
					s = begin(t, program{}, s.addr, s.admin)
					s.ready(t, s.url("/readyz"))
					s.scraped(t, 2) // so that Prometheus has seen each start
				}
			}
		}},
}

// notCovered are the alerts that no fault makes fire here, with the reason.
// promtool tests them with made-up series.
var notCovered = map[string]string{
	"PktsvcCPUSaturated": "takes five minutes of nothing but one process",
	// At the end of the test, since all that is named pktsvc must be gone.
	"PktsvcInstanceDown": "TestAlertsFire ends one of two",
	"PktsvcDown":         "TestAlertsFire ends the other",
}

// device opens a file to write to.
func device(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// dial opens a stream that ends with the test.
func (s *service) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// connect opens a packet connection that ends with the test.
func (s *service) connect(t *testing.T) *stream.Conn {
	t.Helper()
	c, err := stream.NewConn(s.dial(t), stream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// knock connects twice a second, says something, and hangs up, until the test
// ends.
func knock(t *testing.T, addr, text string) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for tick := time.Tick(500 * time.Millisecond); ; {
			if c, err := net.Dial("tcp", addr); err == nil {
				_, _ = c.Write([]byte(text))
				_ = c.SetReadDeadline(time.Now().Add(time.Second))
				_, _ = c.Read(make([]byte, 1)) // until the server hangs up
				c.Close()
			}
			select {
			case <-tick:
			case <-ctx.Done():
				return
			}
		}
	}()
}

// flood asks for large answers and reads none of them. It ends with the stream.
func flood(c net.Conn) {
	payload := make([]byte, 60_000)
	for tag := range uint64(400) {
		p := stream.Packet{Kind: stream.KindRequest, Tag: 2 + tag, Payload: payload}
		bytes, err := p.AppendBinary(nil)
		if err != nil {
			panic(fmt.Sprintf("a plain request: %v", err))
		}
		if _, err := c.Write(bytes); err != nil {
			return
		}
	}
}
