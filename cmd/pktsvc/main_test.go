package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/pktsvc/pktsvc/pkg/diag"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// programVariable makes the test binary be the program, so that exit codes and
// signals can be tested on a process.
const programVariable = "PKTSVC_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(programVariable) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

// program returns the program as a process, to be started.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), programVariable+"=1")
	return cmd
}

// execute runs the program in this process.
func execute(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(stdin), &out, &errs)
	return out.String(), errs.String(), code
}

// executeProcess runs the program as a process.
func executeProcess(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := program(t, args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	if err := cmd.Run(); err != nil {
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
			t.Fatal(err)
		}
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// listen runs f for every connection to a listener, and returns the listener's
// address as --addr takes it.
func listen(t *testing.T, network string, f func(net.Conn)) string {
	t.Helper()
	addr := "127.0.0.1:0"
	if network == "unix" {
		addr = filepath.Join(t.TempDir(), "s")
	}
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer nc.Close()
				f(nc)
			})
		}
	})
	t.Cleanup(func() { ln.Close(); all.Wait() })
	return network + "://" + ln.Addr().String()
}

// service is a diag service on channels 0 and 9.
func service(t *testing.T, network string) string {
	return listen(t, network, func(nc net.Conn) {
		conn, err := stream.NewConn(nc, stream.Options{
			Handler: diag.Mux(), Channels: map[uint64]stream.Handler{9: diag.Mux()},
		})
		if err != nil {
			t.Error(err)
			return
		}
		<-conn.Received()
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // handlers that sleep are not waited for
		conn.Shutdown(ctx)
	})
}

// mute accepts connections and never answers.
func mute(t *testing.T) string {
	return listen(t, "tcp", func(nc net.Conn) { io.Copy(io.Discard, nc) })
}

// vanishing ends every connection when a request has come, not before: what comes
// first is no request, and may come alone.
func vanishing(t *testing.T) string {
	return listen(t, "tcp", func(nc net.Conn) {
		conn, err := stream.NewConn(nc, stream.Options{
			Handler: stream.HandlerFunc(func(context.Context, stream.Request) (stream.Response, error) {
				nc.Close()
				return stream.Response{}, errors.New("the connection is gone")
			}),
		})
		if err != nil {
			t.Error(err)
			return
		}
		<-conn.Done()
	})
}

// closedPort is where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return "tcp://" + ln.Addr().String()
}

func TestUsage(t *testing.T) {
	tests := []struct {
		args string
		code int
		want string // in stderr, or in stdout with code 0
	}{
		{"", 0, "Available Commands:"},
		{"--help", 0, "Available Commands:"},
		{"help call", 0, "pktsvc call --addr ADDRESS --type N"},
		{"bench --help", 0, "--concurrency"},
		{"help store", 0, "Available Commands:"},
		{"help store push", 0, "pktsvc store push --addr ADDRESS SOURCE"},
		{"__complete store pu", 0, "push\tStore a directory"},
		{"__complete store ls --hash s", 0, "sha256"},
		{"--version", 0, "pktsvc version "},
		{"version", 0, "pktsvc "},
		{"completion bash", 0, "bash completion"},
		{"__complete b", 0, "bench\tPut a service under load"},
		{"cal", 2, `unknown command "cal" for "pktsvc"`},
		{"--nonsense", 2, "unknown flag: --nonsense"},
		{"version extra", 2, `unknown command "extra"`},
		{"call", 2, `required flag(s) "addr", "type" not set`},
		{"call --addr 127.0.0.1:1", 2, `required flag(s) "type" not set`},
		{"call --addr 127.0.0.1:1 --type x", 2, `invalid argument "x" for "--type"`},
		{"call --addr 127.0.0.1:1 --type -1", 2, `invalid argument "-1" for "--type"`},
		{"call --addr 127.0.0.1:1 --type 18446744073709551615", 2, "request type 18446744073709551615 is over"},
		{"call --addr 127.0.0.1:1 --type 1 --flags 0x4000000000000000", 2, "request flags 0x4000000000000000 are over"},
		{"call --addr 127.0.0.1:1 --type 1 --data a --file b", 2, "none of the others can be"},
		{"call --addr 127.0.0.1:1 --type 1 --file /nonexistent", 2, "/nonexistent: no such file"},
		{"call --addr 127.0.0.1:1 --type 1 --timeout 0s", 2, "--timeout is 0s"},
		{"call --addr 127.0.0.1:1 --type 1 --timeout soon", 2, `invalid argument "soon"`},
		{"call --addr 127.0.0.1:1 --type 1 --max-packet 0", 2, "want a number from 1 to"},
		{"call --addr 127.0.0.1:1 --type 1 --max-packet 1e3", 2, "want a number from 1 to"},
		{"call --addr 127.0.0.1:1 --type 1 --max-packet 3 --data four", 2, "the payload has more than 3 bytes"},
		{"call --addr 127.0.0.1 --type 1", 2, "want HOST:PORT"},
		{"call --addr http://127.0.0.1:1 --type 1", 2, `unknown scheme "http"`},
		{"call --addr unix:// --type 1", 2, "there is no path in it"},
		{"call --addr tcp://127.0.0.1:0 --type 1", 2, `"0" is no port`},
		{"call --addr 127.0.0.1:70000 --type 1", 2, `"70000" is no port`},
		{"bench", 2, `required flag(s) "addr" not set`},
		{"bench --addr 127.0.0.1:1 --conns 0", 2, "0 connections with 64 callers each"},
		{"bench --addr 127.0.0.1:1 --conns 1000000 --concurrency 1000", 2, "at most 1048576 callers"},
		{"bench --addr 127.0.0.1:1 --size -1", 2, "--size is -1"},
		{"bench --addr 127.0.0.1:1 --rate NaN", 2, "a rate of NaN"},
		{"bench --addr 127.0.0.1:1 --rate -5", 2, "a rate of -5"},
		{"bench --addr 127.0.0.1:1 --requests 0", 2, "--requests is 0"},
		{"bench --addr 127.0.0.1:1 --duration 0s", 2, "--duration is 0"},
		{"bench --addr 127.0.0.1:1 --duration -1s", 2, "a duration of -1s"},
		{"bench --addr 127.0.0.1:1 --duration 1s --requests 5", 2, "none of the others can be"},
		{"bench --addr 127.0.0.1:1 --type 18446744073709551615", 2, "request type 18446744073709551615 is over"},
		{"decode a b", 2, "accepts at most 1 arg"},
		{"decode /nonexistent", 2, "/nonexistent: no such file"},
		{"encode a b", 2, "accepts at most 1 arg"},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			stdout, stderr, code := execute(t, "", strings.Fields(test.args)...)
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if code == 0 && !strings.Contains(stdout, test.want) || code != 0 && !strings.Contains(stderr, test.want) {
				t.Errorf("there is no %q in\n%s%s", test.want, stdout, stderr)
			}
			if code != 0 && stdout != "" {
				t.Errorf("on stdout: %s", stdout)
			}
		})
	}
}
