package main

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// While bench runs its admin server shows the calls of its side.
func TestBenchAdmin(t *testing.T) {
	cmd := program(t, "bench", "--duration", "1h", "--admin", "127.0.0.1:0", "--addr", service(t, "tcp"))
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	line, err := bufio.NewReader(stderr).ReadString('\n')
	url, found := strings.CutPrefix(strings.TrimSpace(line), "metrics at ")
	if err != nil || !found {
		t.Fatalf("the first line is %q, %v", line, err)
	}
	const asked, failed = `pktsvc_requests_total{outcome="ok",role="client",type="Echo"} `, `pktsvc_requests_total{outcome="lost",role="client",type="Echo"} 0`
	ctx := withTimeout(t)
	for page := ""; !strings.Contains(page, failed) || strings.Contains(page, asked+"0\n"); {
		if ctx.Err() != nil {
			t.Fatalf("no calls in the metrics:\n%s", page)
		}
		resp, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if page = string(body); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s, %v: %s", resp.Status, err, page)
		}
	}
	_ = cmd.Process.Signal(syscall.SIGINT)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestBenchAdminErrors(t *testing.T) {
	for admin, want := range map[string]struct {
		code int
		text string
	}{
		"nowhere": {2, "HOST:PORT"},
		strings.TrimPrefix(service(t, "tcp"), "tcp://"): {1, "address already in use"},
	} {
		_, stderr, code := execute(t, "", "bench", "--requests", "1", "--admin", admin, "--addr", service(t, "tcp"))
		if code != want.code || !strings.Contains(stderr, want.text) {
			t.Errorf("--admin %s: exit code %d, %s", admin, code, stderr)
		}
	}
}
