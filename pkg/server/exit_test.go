package server_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/fx"

	"github.com/pktsvc/pktsvc/pkg/server"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// program is what the test binary does as a child process: it serves, with its
// configuration from the environment, and returns its exit code.
func program() int {
	cfg, err := server.Load(server.Source{})
	if err == nil {
		err = server.Run(server.New(cfg, fx.Provide(server.AsService(newGated().service))))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return server.ExitCode(err)
}

// child is a server in a process of its own.
type child struct {
	*exec.Cmd
	lines   chan map[string]any // of its log; closed at its end
	address string
}

// spawn starts a child and waits until it listens.
func spawn(t *testing.T, env ...string) *child {
	t.Helper()
	c := &child{Cmd: exec.Command(os.Args[0]), lines: make(chan map[string]any, 1000)}
	c.Env = append(os.Environ(), programVariable+"=1",
		"PKTSVC_LISTEN=tcp://127.0.0.1:0", "PKTSVC_ADMIN=127.0.0.1:0", "PKTSVC_DRAIN_LINGER=100ms")
	c.Env = append(c.Env, env...)
	out, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() })
	go func() {
		defer close(c.lines)
		for scan := bufio.NewScanner(out); scan.Scan(); {
			line := make(map[string]any)
			if json.Unmarshal(scan.Bytes(), &line) != nil {
				line["msg"] = scan.Text()
			}
			c.lines <- line
		}
	}()
	c.address = strings.TrimPrefix(c.line(t, "listening")["addresses"].([]any)[0].(string), "tcp://")
	return c
}

// line waits for a log line with this message.
func (c *child) line(t *testing.T, message string) map[string]any {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		select {
		case line, ok := <-c.lines:
			if !ok {
				t.Fatalf("the server ended without saying %q", message)
			}
			if line["msg"] == message {
				return line
			}
		case <-limit:
			t.Fatalf("the server did not say %q", message)
		}
	}
}

// code waits for the child's end and returns its exit code.
func (c *child) code(t *testing.T) int {
	t.Helper()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for range c.lines {
		}
	}()
	wait(t, "end of the server's log", drained)
	err := c.Wait()
	exit := (*exec.ExitError)(nil)
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode()
}

func (c *child) connect(t *testing.T) *stream.Client {
	t.Helper()
	client, err := stream.NewClient(stream.DialNetwork("tcp", c.address), stream.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func TestExitCodeOfOrderlyEnd(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			c := spawn(t)
			client := c.connect(t)
			call, err := client.Submit(t.Context(), stream.Request{Type: typeBlock})
			if err != nil {
				t.Fatal(err)
			}
			echo(t, client, "served") // so the one before has been accepted
			if err := c.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			c.line(t, "drain")
			// Open connections are still served for a while, so the gate can be opened.
			if _, err := client.Call(t.Context(), stream.Request{Type: typeOpen}); err != nil {
				t.Error(err)
			}
			if resp, err := call.Wait(t.Context()); err != nil || string(resp.Payload) != "done" {
				t.Errorf("the request in flight got %q, %v", resp.Payload, err)
			}
			if code := c.code(t); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
		})
	}
}

func TestExitCodeOfForcedEnd(t *testing.T) {
	tests := []struct {
		name    string
		env     []string
		signals int
	}{
		{"budget", []string{"PKTSVC_DRAIN_TIMEOUT=300ms", "PKTSVC_DRAIN_SERVE=100ms"}, 1},
		{"second signal", nil, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := spawn(t, test.env...)
			client := c.connect(t)
			for range 3 {
				if _, err := client.Submit(t.Context(), stream.Request{Type: typeBlock}); err != nil {
					t.Fatal(err)
				}
			}
			echo(t, client, "served")
			began := time.Now()
			for range test.signals {
				if err := c.Process.Signal(syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
				c.line(t, "drain")
			}
			line := c.line(t, "drained by force")
			if line["unanswered_requests"] != 3.0 || line["unanswered_connections"] != 1.0 {
				t.Errorf("logged as unanswered: %v", line)
			}
			if code := c.code(t); code != 5 {
				t.Errorf("exit code %d, want 5", code)
			}
			if took := time.Since(began); took > 8*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}
