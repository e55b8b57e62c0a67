package interop_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/pktsvc/pktsvc/pkg/diag"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// accepted serves the diag service to one Python client.
func accepted(t *testing.T, scenario, grace string) (*reference, *stream.Conn) {
	t.Helper()
	path := socketPath(t)
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	r := run(t, "client", path, grace, scenario)
	_ = ln.(*net.UnixListener).SetDeadline(time.Now().Add(limit))
	nc, err := ln.Accept()
	if err != nil {
		t.Fatalf("%v\n%s", err, &r.stderr)
	}
	conn, err := stream.NewConn(nc, stream.Options{Handler: diag.Mux()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); nc.Close() })
	return r, conn
}

// Everything that the Python package can ask of this side, to its orderly end.
func TestPythonAsks(t *testing.T) {
	requests := uint64(0)
	for _, grace := range graces {
		for _, scenario := range []string{"sync", "sequential", "pipelined", "order", "payloads", "errors", "callbacks"} {
			if grace == "default" && scenario == "sequential" {
				continue // four minutes of waiting for the grace
			}
			t.Run(scenario+", grace "+grace, func(t *testing.T) {
				r, conn := accepted(t, scenario, grace)
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				select {
				case <-conn.Received():
				case <-ctx.Done():
					t.Fatalf("it does not end\n%s", &r.stderr)
				}
				if err := conn.Shutdown(ctx); err != nil || conn.Reason() != stream.ReasonShutdown {
					t.Errorf("the end: %v, %v", conn.Reason(), err)
				}
				r.ends(t, 0)
				s := conn.Stats()
				requests += s.RequestsReceived + s.CallsSent
				if s.Unanswered != 0 || s.RequestsReceived != s.ResponsesSent {
					t.Errorf("%+v", s)
				}
			})
		}
	}
	t.Logf("guarantee: TestPythonAsks %d requests", requests)
}

// A Python client that dies ends its connection; its requests are lost.
func TestPythonClientDies(t *testing.T) {
	r, conn := accepted(t, "die", "0")
	r.ends(t, 7)
	select {
	case <-conn.Received():
	case <-time.After(limit):
		t.Fatal("its end is not noticed")
	}
	began := time.Now()
	conn.Close()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("closing took %v", took)
	}
	if s := conn.Stats(); s.RequestsReceived != 50 || s.Unanswered == 0 {
		t.Errorf("%+v", s)
	}
}
