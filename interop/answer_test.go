package interop_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

// The program itself, on both sides.
func TestProgramWithPython(t *testing.T) {
	python(t)
	program := filepath.Join(t.TempDir(), "pktsvc")
	if out, err := exec.Command("go", "build", "-o", program, "../cmd/pktsvc").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Run("call", func(t *testing.T) {
		path := socketPath(t)
		r := run(t, "serve", path, "0")
		out, err := exec.Command(program, "call", "--addr", "unix://"+path, "--type", "101", "--data", "hello").CombinedOutput()
		if err != nil || string(out) != "olleh" {
			t.Errorf("%q, %v", out, err)
		}
		r.ends(t, 0)
	})
	t.Run("serve", func(t *testing.T) {
		path := socketPath(t)
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		serve := exec.CommandContext(ctx, program, "serve", "--service", "diag", "--listen", "unix://"+path, "--admin", "")
		var log strings.Builder
		serve.Stderr = &log
		if err := serve.Start(); err != nil {
			t.Fatal(err)
		}
		for tick := time.Tick(20 * time.Millisecond); ; <-tick {
			if nc, err := net.Dial("unix", path); err == nil {
				nc.Close()
				break
			}
			if ctx.Err() != nil {
				t.Fatal("it does not listen")
			}
		}
		run(t, "client", path, "0", "callbacks").ends(t, 0)
		if err := serve.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if err := serve.Wait(); err != nil || !strings.Contains(log.String(), "everything accepted was answered") {
			t.Errorf("%v\n%s", err, log.String())
		}
	})
}
