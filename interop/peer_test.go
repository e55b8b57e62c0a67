package interop_test

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
	return interpreter(t, "")
}

// interpreter is that of an environment of interop/install, whose name has a suffix.
func interpreter(t *testing.T, suffix string) string {
	t.Helper()
	if path := os.Getenv("PKTSVC_PYTHON"); path != "" {
		return strings.TrimSuffix(path, pythonInside) + suffix + pythonInside
	}
	path, err := filepath.Abs(".venv" + suffix + pythonInside)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skip("the Python package is not installed: interop/install does that")
	}
	return path
}

const pythonInside = "/bin/python" // an environment

// reference is a running script of the other side.
type reference struct {
	cmd    *exec.Cmd
	stdout *bufio.Reader
	stderr bytes.Buffer
	done   chan struct{}
	err    error // of its end, when done is closed
}

// run starts peer.py.
func run(t *testing.T, args ...string) *reference {
	t.Helper()
	return runScript(t, python(t), append([]string{"peer.py"}, args...)...)
}

// runScript starts a script with its arguments. If the first is "serve" it waits
// until the script listens.
func runScript(t *testing.T, path string, args ...string) *reference {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*limit)
	r := &reference{done: make(chan struct{})}
	r.cmd = exec.CommandContext(ctx, path, args...)
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
	if args[1] == "serve" {
		if line, err := r.stdout.ReadString('\n'); err != nil || line != "listening\n" {
			close(first)
			<-r.done
			t.Fatalf("%v: %q, %v\n%s", args, line, err, &r.stderr)
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
		t.Fatalf("%v does not end", r.cmd.Args[1:])
	}
	if got := r.cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("%v ended with %d, want %d: %v\n%s", r.cmd.Args[1:], got, code, r.err, &r.stderr)
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
