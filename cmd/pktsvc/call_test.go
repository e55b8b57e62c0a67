package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCall(t *testing.T) {
	tcp, unix := service(t, "tcp"), service(t, "unix")
	file := filepath.Join(t.TempDir(), "payload")
	binary := string([]byte{0, 255, 10, 13, 0x80})
	if err := os.WriteFile(file, []byte(binary), 0o600); err != nil {
		t.Fatal(err)
	}
	large := strings.Repeat("0123456789abcdef", 1<<16)
	tests := []struct {
		name   string
		stdin  string
		args   []string
		stdout string
		stderr string // "" wants none
		code   int
	}{
		{name: "text", args: []string{"--addr", tcp, "--type", "1", "--data", "hello, world"}, stdout: "dlrow ,olleh"},
		{name: "bare address", args: []string{"--addr", strings.TrimPrefix(tcp, "tcp://"), "--type", "0", "--data", "x"}, stdout: "x"},
		{name: "unix socket", args: []string{"--addr", unix, "--type", "0", "--data", "x"}, stdout: "x"},
		{name: "empty", args: []string{"--addr", tcp, "--type", "0"}},
		{name: "empty, hashed", args: []string{"--addr", tcp, "--type", "6"}, stdout: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{name: "file", args: []string{"--addr", tcp, "--type", "0", "--file", file}, stdout: binary},
		{name: "stdin", stdin: binary, args: []string{"--addr", tcp, "--type", "0", "--file", "-"}, stdout: binary},
		{name: "a megabyte", stdin: large, args: []string{"--addr", tcp, "--type", "0", "--file", "-"}, stdout: large},
		{name: "stdin over the limit", stdin: large, args: []string{"--addr", tcp, "--type", "0", "--file", "-", "--max-packet", "1048575"},
			stderr: "the payload has more than 1048575 bytes", code: 2},
		{name: "stdin at the limit", stdin: large, args: []string{"--addr", tcp, "--type", "0", "--file", "-", "--max-packet", "1048576"}, stdout: large},
		{name: "text in several scripts", args: []string{"--addr", tcp, "--type", "4"}, stdout: "héllo ✓ 日本 😀"},
		{name: "call back", args: []string{"--addr", tcp, "--type", "7", "--data", "and back"}, stdout: "and back"},
		{name: "call back on a channel", args: []string{"--addr", tcp, "--type", "7", "--channel", "9", "--data", "and back"}, stdout: "and back"},
		{name: "channel", args: []string{"--addr", tcp, "--type", "0", "--channel", "9", "--data", "x"}, stdout: "x"},
		{name: "unknown channel", args: []string{"--addr", tcp, "--type", "0", "--channel", "5"}, stderr: "rejected: unknown channel 5", code: 1},
		{name: "reserved channel", args: []string{"--addr", tcp, "--type", "0", "--channel", "112"}, stderr: "112 to 127 are reserved", code: 2},
		{name: "rejected", args: []string{"--addr", tcp, "--type", "2"}, stderr: "rejected: exception during handler", code: 1},
		{name: "rejected with a reason that could control a terminal", args: []string{"--addr", tcp, "--type", "5", "--data", "\x1b[2J"}, stderr: `rejected: "the payload \"\\x1b[2J\" is no number`, code: 1},
		{name: "nobody listens", args: []string{"--addr", closedPort(t), "--type", "0"}, stderr: "connection refused", code: 3},
		{name: "connection lost", args: []string{"--addr", vanishing(t), "--type", "0"}, stderr: "connection lost after it was sent", code: 3},
		{name: "no answer", args: []string{"--addr", mute(t), "--type", "0", "--timeout", "50ms"}, stderr: "not answered in time", code: 4},
		{name: "slow answer", args: []string{"--addr", tcp, "--type", "5", "--data", "60000", "--timeout", "50ms"}, stderr: "not answered in time", code: 4},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			begun := time.Now()
			stdout, stderr, code := execute(t, test.stdin, append([]string{"call"}, test.args...)...)
			if stdout != test.stdout || code != test.code {
				t.Errorf("exit code %d, want %d; stdout %.100q, want %.100q; stderr %s", code, test.code, stdout, test.stdout, stderr)
			}
			if test.stderr == "" && stderr != "" || !strings.Contains(stderr, test.stderr) {
				t.Errorf("stderr %q, want %q", stderr, test.stderr)
			}
			if took := time.Since(begun); took > 20*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// What a process exits with.
func TestCallExitCodes(t *testing.T) {
	tcp := service(t, "tcp")
	for want, args := range []string{
		0: "call --type 0 --data text --addr " + tcp,
		1: "call --type 2 --addr " + tcp,
		2: "call --addr " + tcp,
		3: "call --type 0 --addr " + closedPort(t),
		4: "call --type 5 --data 60000 --timeout 50ms --addr " + tcp,
	} {
		stdout, stderr, code := executeProcess(t, "", strings.Fields(args)...)
		if code != want || want == 0 && (stdout != "text" || stderr != "") || want > 0 && (stdout != "" || stderr == "") {
			t.Errorf("%s: exit code %d, want %d; stdout %q, stderr %q", args, code, want, stdout, stderr)
		}
	}
}

// decodeExact reads one JSON object without losing digits.
func decodeExact(t *testing.T, text string) map[string]any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	object := make(map[string]any)
	if err := d.Decode(&object); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	if d.More() {
		t.Fatalf("more than one object in %q", text)
	}
	return object
}

func TestCallJSON(t *testing.T) {
	tcp := service(t, "tcp")
	tests := []struct {
		args string
		code int
		want map[string]any
	}{
		{"--type 0 --flags 2305843009213693951 --data hi", 0, map[string]any{
			"ok": true, "flags": json.Number("2305843009213693951"), "payload_hex": "6869", "tag": json.Number("2"), "channel": json.Number("0")}},
		{"--type 3 --channel 9", 0, map[string]any{
			"ok": true, "flags": json.Number("0"), "payload_hex": "", "tag": json.Number("2"), "channel": json.Number("9")}},
		{"--type 2", 1, map[string]any{
			"ok": false, "flags": json.Number("0"), "payload_hex": "657863657074696f6e20647572696e672068616e646c6572", "tag": json.Number("2"), "channel": json.Number("0")}},
	}
	for _, test := range tests {
		stdout, stderr, code := execute(t, "", append(strings.Fields("call --json --addr "+tcp), strings.Fields(test.args)...)...)
		if code != test.code || (code != 0) != (stderr != "") {
			t.Errorf("%s: exit code %d, %s", test.args, code, stderr)
		}
		got := decodeExact(t, stdout)
		if us, err := got["duration_us"].(json.Number).Int64(); err != nil || us < 1 {
			t.Errorf("%s: duration_us is %v", test.args, got["duration_us"])
		}
		delete(got, "duration_us")
		for key, want := range test.want {
			if got[key] != want {
				t.Errorf("%s: %s is %v, want %v", test.args, key, got[key], want)
			}
		}
		if len(got) != len(test.want) {
			t.Errorf("%s: %s", test.args, stdout)
		}
	}
	// A call without an answer has no object.
	if stdout, _, code := execute(t, "", "call", "--json", "--type", "0", "--addr", closedPort(t)); stdout != "" || code != 3 {
		t.Errorf("exit code %d, %s", code, stdout)
	}
}

// With tracing the trace's id is in the answer and on the span, and standard
// output has nothing else.
func TestCallTraced(t *testing.T) {
	t.Setenv("OTEL_TRACES_EXPORTER", "console")
	stdout, stderr, code := execute(t, "", "call", "--json", "--type", "7", "--addr", service(t, "tcp"))
	id, _ := decodeExact(t, stdout)["trace_id"].(string)
	if code != 0 || len(id) != 32 || !strings.Contains(stderr, `"TraceID":"`+id+`"`) || !strings.Contains(stderr, `"Name":"CallBack"`) {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
	t.Setenv("OTEL_TRACES_EXPORTER", "nonsense")
	if _, stderr, code := execute(t, "", "call", "--type", "0", "--addr", service(t, "tcp")); code != 2 || !strings.Contains(stderr, "nonsense") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}
