package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	recordedHex  = "1002825602 68656c6c6f2c20776f726c64\n03010200 03000200\n 03070200 020204"
	recordedJSON = `{"offset":0,"size":17,"kind":"request","channel":0,"tag":2,"flags":85,"type":1,"payload_hex":"68656c6c6f2c20776f726c64"}
{"offset":17,"size":4,"kind":"erq","channel":0,"tag":1,"flags":0,"payload_hex":""}
{"offset":21,"size":4,"kind":"eof","channel":0,"tag":0,"flags":0,"payload_hex":""}
{"offset":25,"size":4,"kind":"end","channel":0,"tag":7,"flags":0,"payload_hex":""}
{"offset":29,"size":3,"kind":"response","channel":0,"tag":2,"flags":0,"ok":true,"payload_hex":""}
`
)

func recorded(t *testing.T) string {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(recordedHex), ""))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestDecodeAndEncode(t *testing.T) {
	raw := recorded(t)
	dir := t.TempDir()
	rawFile, jsonFile := filepath.Join(dir, "raw"), filepath.Join(dir, "json")
	for name, text := range map[string]string{rawFile: raw, jsonFile: recordedJSON} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		args, stdin string
		stdout      string
		stderr      string
		code        int
	}{
		{args: "decode --json", stdin: raw, stdout: recordedJSON},
		{args: "decode --json -", stdin: raw, stdout: recordedJSON},
		{args: "decode --json " + rawFile, stdout: recordedJSON},
		{args: "decode --hex --json", stdin: recordedHex, stdout: recordedJSON},
		{args: "decode --json"},
		{args: "encode", stdin: recordedJSON, stdout: raw},
		{args: "encode -", stdin: recordedJSON, stdout: raw},
		{args: "encode " + jsonFile, stdout: raw},
		{args: "encode"},
		{args: "decode --json", stdin: raw + "\x0e\x82", stdout: recordedJSON, stderr: "packet at byte 32: packet: the stream ends inside it", code: 1},
		{args: "decode --json", stdin: raw + "\x00" + raw, stdout: recordedJSON, stderr: "packet at byte 32: tag: ", code: 1},
		{args: "decode --json --max-packet 15", stdin: raw, stderr: "packet at byte 0: length: a packet of 16 bytes is announced, the limit is 15", code: 1},
		{args: "decode --json --max-packet 16", stdin: raw, stdout: recordedJSON},
		{args: "decode --json --hex", stdin: recordedHex + "0g", stdout: recordedJSON, stderr: "character 71 of the hexadecimal text is 'g'", code: 1},
		{args: "decode --json", stdin: raw + "\xa0\x80\x80\x80\x80\x00abc", stdout: recordedJSON, stderr: "packet at byte 32: length: a packet of 1099511627776 bytes", code: 1},
		{args: "encode", stdin: recordedJSON + `{"kind":"eof","note":1}`, stdout: raw, stderr: `line 6: "note": unknown key`, code: 1},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			stdout, stderr, code := execute(t, test.stdin, strings.Fields(test.args)...)
			if stdout != test.stdout || code != test.code || (stderr == "") != (test.stderr == "") || !strings.Contains(stderr, test.stderr) {
				t.Errorf("exit code %d, want %d; stdout %q; stderr %q", code, test.code, stdout, stderr)
			}
		})
	}
}

func TestDecodeForPeople(t *testing.T) {
	stdout, _, code := execute(t, recordedHex, "decode", "--hex")
	lines := strings.Split(stdout, "\n")
	if code != 0 || len(lines) != 6 || !strings.HasSuffix(lines[0], `type=1 flags=0x55 payload=12B "hello, world"`) {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
}

// decode --json | encode, as processes joined by a pipe, over all streams of the
// recorded conversations, one after another: EOF packets stand in the middle.
func TestPipeIsIdentity(t *testing.T) {
	files, err := filepath.Glob("../../pkg/stream/testdata/conversations/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var all []byte
	for _, file := range files {
		var conversation struct{ Streams map[string]string }
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &conversation); err != nil {
			t.Fatal(err)
		}
		for _, digits := range conversation.Streams {
			b, err := hex.DecodeString(digits)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, b...)
		}
	}
	decode, encode := program(t, "decode", "--json"), program(t, "encode")
	var out, decodeErrors, encodeErrors bytes.Buffer
	decode.Stdin, decode.Stderr = bytes.NewReader(all), &decodeErrors
	encode.Stdout, encode.Stderr = &out, &encodeErrors
	if encode.Stdin, err = decode.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := decode.Start(); err != nil {
		t.Fatal(err)
	}
	if err := encode.Run(); err != nil {
		t.Error(err)
	}
	if err := decode.Wait(); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(out.Bytes(), all) || decodeErrors.Len() > 0 || encodeErrors.Len() > 0 {
		t.Errorf("%d bytes became %d: %s%s", len(all), out.Len(), &decodeErrors, &encodeErrors)
	}
}

func TestVersionJSON(t *testing.T) {
	stdout, _, code := execute(t, "", "version", "--json")
	if got := decodeExact(t, stdout); code != 0 || !strings.HasPrefix(got["go"].(string), "go1.") || got["version"] == "" {
		t.Errorf("exit code %d, %s", code, stdout)
	}
}
