package server_test

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// A server on standard input and output serves one connection, and ends with it.
func TestStdio(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), programVariable+"=1", "PKTSVC_LISTEN=stdio:", "PKTSVC_ADMIN=")
	log := new(strings.Builder)
	cmd.Stderr = log
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() }).Stop()
	conn, err := stream.NewConn(stream.Join(out, in), stream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	echo(t, conn, "through pipes")
	if err := conn.Shutdown(t.Context()); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if rest, err := io.ReadAll(out); len(rest) > 0 || err != nil {
		t.Errorf("after the end of the connection standard output has %q, %v", rest, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the server ended with %v:\n%s", err, log)
	}
	if !strings.Contains(log.String(), `"addresses":["stdio:"]`) {
		t.Errorf("the log does not name the address:\n%s", log)
	}
}
