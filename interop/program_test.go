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
)

// buildProgram returns the path of the program, built anew.
func buildProgram(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "pktsvc")
	if out, err := exec.Command("go", "build", "-o", program, "../cmd/pktsvc").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// serveProgram runs "pktsvc serve" with arguments and returns the path of its
// socket. The function it returns, which is to be called once, ends it in order.
func serveProgram(t *testing.T, program string, args ...string) (path string, end func()) {
	t.Helper()
	path = socketPath(t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*limit)
	t.Cleanup(cancel)
	args = append([]string{"serve", "--listen", "unix://" + path, "--admin", ""}, args...)
	serve := exec.CommandContext(ctx, program, args...)
	var log strings.Builder
	serve.Stderr = &log
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	end = func() {
		t.Helper()
		if err := serve.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := serve.Wait(); err != nil || !strings.Contains(log.String(), "everything accepted was answered") {
			t.Errorf("%v\n%s", err, log.String())
		}
	}
	deadline := time.Now().Add(limit)
	for tick := time.Tick(20 * time.Millisecond); ; <-tick {
		if nc, err := net.Dial("unix", path); err == nil {
			nc.Close()
			return path, end
		}
		if time.Now().After(deadline) {
			end()
			t.Fatal("it does not listen")
		}
	}
}

// The program itself, on both sides.
func TestProgramWithPython(t *testing.T) {
	python(t)
	program := buildProgram(t)
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
		path, end := serveProgram(t, program, "--service", "diag")
		run(t, "client", path, "0", "callbacks").ends(t, 0)
		end()
	})
}
