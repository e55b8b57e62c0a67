package interop_test

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// limit is more than any scenario takes; a hang ends with it.
const limit = time.Minute

// python is the interpreter with the reference. Without one the test is skipped.
func python(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("PKTSVC_PYTHON"); path != "" {
		return path
	}
	path, err := filepath.Abs(".venv/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skip("the Python package is not installed: interop/install does that")
	}
	return path
}

// reference is a running peer.py.
type reference struct {
	cmd    *exec.Cmd
	stdout *bufio.Reader
	stderr bytes.Buffer
	done   chan struct{}
	err    error // of its end, when done is closed
}

func run(t *testing.T, args ...string) *reference {
	t.Helper()
	path := python(t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*limit)
	r := &reference{done: make(chan struct{})}
	r.cmd = exec.CommandContext(ctx, path, append([]string{"peer.py"}, args...)...)
	r.cmd.Stderr = &r.stderr
	stdout, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.stdout = bufio.NewReader(stdout)
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		<-r.done
	})
	first := make(chan struct{}) // the first line is read before Wait closes the pipe
	go func() {
		defer close(r.done)
		<-first
		r.err = r.cmd.Wait()
	}()
	if args[0] == "serve" {
		if line, err := r.stdout.ReadString('\n'); err != nil || line != "listening\n" {
			close(first)
			<-r.done
			t.Fatalf("peer.py: %q, %v\n%s", line, err, &r.stderr)
		}
	}
	close(first)
	return r
}

// ends waits for the process and checks its exit code.
func (r *reference) ends(t *testing.T, code int) {
	t.Helper()
	select {
	case <-r.done:
	case <-time.After(limit):
		t.Fatalf("peer.py %v does not end", r.cmd.Args[2:])
	}
	if got := r.cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("peer.py %v ended with %d, want %d: %v\n%s", r.cmd.Args[2:], got, code, r.err, &r.stderr)
	}
}

// socketPath is short enough for a socket.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "interop")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// serving starts a Python server and connects to it.
func serving(t *testing.T, grace string) (*reference, *stream.Conn, net.Conn) {
	t.Helper()
	path := socketPath(t)
	r := run(t, "serve", path, grace)
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := stream.NewConn(nc, stream.Options{Handler: echo})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); nc.Close() })
	return r, conn, nc
}

var echo = stream.HandlerFunc(func(_ context.Context, req stream.Request) (stream.Response, error) {
	return stream.Response{Flags: req.Flags, Payload: req.Payload}, nil
})

// within bounds a test's calls.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}
