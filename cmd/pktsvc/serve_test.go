package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// TestServe tests the program as a process: signals, exit codes, output.
func TestServe(t *testing.T) {
	t.Run("until a signal", testServeUntilSignal)
	t.Run("wrong use", testServeRefusesWrongUse)
	t.Run("print-config", testServePrintsItsConfiguration)
}

// runServe runs the program to its end and returns its output and exit code.
func runServe(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := program(t, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // the exit code tells
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func testServeUntilSignal(t *testing.T) {
	cmd := program(t, "serve", "--service", "diag", "--listen", "tcp://127.0.0.1:0", "--admin", "127.0.0.1:0")
	logs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() }).Stop()
	scan := bufio.NewScanner(logs)
	var line struct {
		Msg, Admin string
		Addresses  []string
	}
	for line.Msg != "listening" {
		if !scan.Scan() {
			t.Fatal("the server ended without listening")
		}
		if err := json.Unmarshal(scan.Bytes(), &line); err != nil {
			t.Fatalf("%v in %s", err, scan.Text())
		}
	}
	rest := make(chan struct{})
	go func() {
		defer close(rest)
		for scan.Scan() {
		}
	}()

	client, err := stream.NewClient(stream.DialNetwork("tcp", strings.TrimPrefix(line.Addresses[0], "tcp://")), stream.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	resp, err := client.Call(t.Context(), stream.Request{Type: 1, Payload: []byte("hello, world")})
	if err != nil || string(resp.Payload) != "dlrow ,olleh" || resp.Flags != 0x11 {
		t.Errorf("the diag service answers %q, flags %#x, %v", resp.Payload, resp.Flags, err)
	}
	admin := strings.TrimPrefix(line.Admin, "http://")
	if out, errs, code := runServe(t, "healthcheck", "--admin", admin); code != 0 || !strings.Contains(out, "ready") {
		t.Errorf("healthcheck: exit code %d, %q, %q", code, out, errs)
	}

	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-rest
	if err := cmd.Wait(); err != nil {
		t.Errorf("serve ended with %v", err)
	}
	if _, errs, code := runServe(t, "healthcheck", "--admin", admin); code != 1 || !strings.Contains(errs, "cannot reach the admin server") {
		t.Errorf("healthcheck of nothing: exit code %d, %q", code, errs)
	}
}

func testServeRefusesWrongUse(t *testing.T) {
	tests := []struct {
		args []string
		code int
		want []string // on standard error
	}{
		{[]string{"--limits-max-packet=-1", "--log-level=loud"}, 2, []string{`limits.max_packet is "-1" (flag --limits-max-packet)`, "log.level"}},
		{[]string{"--service=nothing"}, 2, []string{`--service is "nothing", want one of diag, store`}},
		{[]string{"--service=diag", "--service=diag@1"}, 2, []string{`--service is "diag@1", want one of diag, store, each once`}},
		{[]string{"--service=diag@x"}, 2, []string{`--service is "diag@x", want a channel's number`}},
		{[]string{"--service=diag@112", "--backend=memory:", "--admin="}, 1, []string{"112 to 127 are reserved"}},
		{[]string{"--service=store,diag", "--backend=memory:", "--admin="}, 2, []string{"--service has store and diag on channel 0: give one a channel of its own, as in diag@1"}},
		{[]string{"--hash=md5", "--sync=never", "--backend=ftp://x"}, 2, []string{`hash is "md5" (flag --hash), want sha1, sha256, blake3`, `sync is "never"`, `backend is "ftp://x"`}},
		{[]string{"--config=/does/not/exist"}, 2, []string{"/does/not/exist"}},
		{[]string{"--no-such-flag"}, 2, []string{"no-such-flag"}},
		{[]string{"extra"}, 2, []string{"extra"}},
		{[]string{"--service=diag", "--listen=unix:///does/not/exist/s", "--admin="}, 1, []string{"listen on unix:///does/not/exist/s"}},
	}
	for _, test := range tests {
		_, errs, code := runServe(t, append([]string{"serve"}, test.args...)...)
		if code != test.code {
			t.Errorf("%v: exit code %d, want %d", test.args, code, test.code)
		}
		for _, want := range test.want {
			if !strings.Contains(errs, want) {
				t.Errorf("%v: standard error does not say %q:\n%s", test.args, want, errs)
			}
		}
	}
}

func testServePrintsItsConfiguration(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pktsvc.yaml")
	if err := os.WriteFile(file, []byte("admin_token: hunter2\nlimits: {max_queued: 7}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, code := runServe(t, "serve", "--print-config", "--config", file, "--drain-timeout=40s")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	for _, want := range []string{"max_queued: 7\n", "timeout: 40s\n", "- tcp://127.0.0.1:7450\n", "admin: 127.0.0.1:7451\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if strings.Contains(out, "hunter2") {
		t.Errorf("the secret is in\n%s", out)
	}
}
