package main

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pktsvc/pktsvc/pkg/diag"
	"github.com/pktsvc/pktsvc/pkg/load"
	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

var benchKeys = []string{"ops", "ops_per_s", "errors", "p50_us", "p90_us", "p99_us", "p999_us", "bytes"}

func TestBench(t *testing.T) {
	tcp, unix := service(t, "tcp"), service(t, "unix")
	blocks := serveStore(t, store.NewMemory(store.SHA256, 0)).addr
	tests := []struct {
		args   string
		ops    int
		errors int
		bytes  string
		code   int
		stderr string
	}{
		{args: "--requests 500 --addr " + tcp, ops: 500, bytes: "16000"},
		{args: "--requests 500 --conns 3 --concurrency 7 --size 0 --addr " + unix, ops: 500, bytes: "0"},
		{args: "--requests 50 --size 100000 --concurrency 2 --addr " + tcp, ops: 50, bytes: "10000000"},
		{args: "--requests 50 --type 1 --addr " + tcp, ops: 50},
		{args: "--requests 50 --type 3 --addr " + tcp, ops: 50},
		{args: "--requests 50 --type 4 --addr " + tcp, ops: 50},
		{args: "--requests 50 --type 5 --addr " + tcp, ops: 50},
		{args: "--requests 50 --type 5 --data 1 --addr " + tcp, ops: 50, bytes: "50"},
		{args: "--requests 50 --type 6 --addr " + tcp, ops: 50},
		{args: "--requests 50 --type 7 --addr " + tcp, ops: 50},
		{args: "--requests 50 --type 7 --channel 9 --addr " + tcp, ops: 50},
		{args: "--requests 50 --channel 8 --addr " + tcp, errors: 50, code: 1, stderr: "50 errors"},
		{args: "--service store --hash sha256 --type 1 --requests 5 --addr " + blocks, errors: 5, code: 1, stderr: "5 errors"},
		{args: "--service store --hash sha256 --type 0 --requests 50 --blocks 20 --size 1000 --addr " + blocks, ops: 50, bytes: "51800"},
		{args: "--service store --hash sha256 --type 1 --requests 20 --size 1000 --addr " + blocks, ops: 20, bytes: "20660"},
		{args: "--service store --hash sha256 --type 2 --requests 20 --size 1000 --addr " + blocks, ops: 20},
		{args: "--requests 50 --rate 1000 --addr " + tcp, ops: 50},
		{args: "--requests 50 --type 2 --addr " + tcp, errors: 50, code: 1, stderr: "50 errors"},
		{args: "--requests 4 --concurrency 2 --type 5 --data 60000 --timeout 50ms --addr " + tcp, errors: 4, code: 1},
		{args: "--requests 3 --concurrency 1 --addr " + vanishing(t), errors: 1, code: 3, stderr: "all connections were lost"},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			stdout, stderr, code := execute(t, "", append([]string{"bench", "--json"}, strings.Fields(test.args)...)...)
			if code != test.code || !strings.Contains(stderr, test.stderr) || code == 0 && stderr != "" {
				t.Errorf("exit code %d, want %d, %s", code, test.code, stderr)
			}
			got := decodeExact(t, stdout)
			for _, key := range benchKeys {
				if _, ok := got[key].(json.Number); !ok {
					t.Errorf("%s is %v", key, got[key])
				}
			}
			if n, _ := got["ops"].(json.Number).Int64(); int(n) != test.ops {
				t.Errorf("%d ops, want %d", n, test.ops)
			}
			if n, _ := got["errors"].(json.Number).Int64(); int(n) != test.errors {
				t.Errorf("%d errors, want %d", n, test.errors)
			}
			if test.bytes != "" && got["bytes"] != json.Number(test.bytes) {
				t.Errorf("%v bytes, want %s", got["bytes"], test.bytes)
			}
		})
	}
}

func TestBenchNoConnection(t *testing.T) {
	stdout, stderr, code := executeProcess(t, "", "bench", "--requests", "1", "--addr", closedPort(t))
	if code != 3 || stdout != "" || !strings.Contains(stderr, "connection refused") {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
}

// A service whose answers are not those of diag: wrong, or right if nobody looks.
func TestBenchVerifies(t *testing.T) {
	tcp := service(t, "tcp") // whose type 1 is not an echo
	wrong := &benchmark{typ: diag.TypeReverse, size: 20, verify: true}
	probe := wrong.exchange(0)
	req := probe.Request(1)
	echo := stream.Response{Flags: req.Flags, Payload: req.Payload}
	if probe.Verify(echo) == nil {
		t.Error("an echo is taken as the answer of Reverse")
	}
	wrong.verify = false
	if err := wrong.exchange(0).Verify(echo); err != nil {
		t.Error(err)
	}
	if stdout, _, code := execute(t, "", "bench", "--requests", "5", "--verify=false", "--addr", tcp); code != 0 || !strings.Contains(stdout, "ops       5 in ") {
		t.Errorf("exit code %d, %s", code, stdout)
	}
}

// SIGINT ends a run of an hour at once, with a report.
func TestBenchInterrupted(t *testing.T) {
	cmd := program(t, "bench", "--duration", "1h", "--json", "--addr", service(t, "tcp"))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	timer := time.NewTimer(time.Second) // it is to have done some work
	defer timer.Stop()
	<-timer.C
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	signalled := time.Now()
	if err := <-exited; err != nil {
		t.Errorf("%v: %s", err, errs.String())
	}
	if took := time.Since(signalled); took > 10*time.Second {
		t.Errorf("it went on for %v", took)
	}
	got := decodeExact(t, out.String())
	if ops, _ := got["ops"].(json.Number).Int64(); ops < 1 || got["errors"] != json.Number("0") {
		t.Errorf("%s", out.String())
	}
}

func TestProgress(t *testing.T) {
	if newProgress(io.Discard, new(load.Plan)) != nil {
		t.Error("progress is shown where there is no terminal")
	}
	var to target
	if err := to.addr.Set(service(t, "tcp")); err != nil {
		t.Fatal(err)
	}
	dial, err := to.dial()
	if err != nil {
		t.Fatal(err)
	}
	for _, plan := range []load.Plan{{Requests: 3}, {Duration: 10 * time.Millisecond}} {
		plan.Dial, plan.Conns, plan.Callers = dial, 1, 1
		plan.Exchange = func(int) load.Exchange { return diag.NewProbe(diag.TypeEcho, 8, 1) }
		run, err := load.Start(t.Context(), plan)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		newProgressOn(&out, &plan).show(run)
		run.Close()
		if text := out.String(); !strings.Contains(text, " ops, ") || !strings.Contains(text, " 0 errors") {
			t.Errorf("it showed %q", text)
		}
	}
}
