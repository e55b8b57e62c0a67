package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/storetest"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// startStore runs serve as a process, with its blocks in a folder, and returns when it
// listens.
func startStore(t *testing.T, socket, data string) *exec.Cmd {
	t.Helper()
	cmd := program(t, "serve", "--listen", "unix://"+socket, "--admin", "127.0.0.1:0", "--data", data)
	logs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	for scan := bufio.NewScanner(io.TeeReader(logs, &text)); scan.Scan(); {
		var line struct{ Msg string }
		if json.Unmarshal(scan.Bytes(), &line) == nil && line.Msg == "listening" {
			go io.Copy(io.Discard, logs)
			return cmd
		}
	}
	t.Fatalf("it does not listen:\n%s", &text)
	return nil
}

func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // it was killed
}

// waitForBlocks returns when a store has so many.
func waitForBlocks(t *testing.T, addr string, n uint64) {
	t.Helper()
	client, err := stream.NewClient(stream.DialNetwork("unix", strings.TrimPrefix(addr, "unix://")), stream.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for {
		length, err := store.NewClient(client, store.BLAKE3).Length(withTimeout(t))
		if err != nil {
			t.Fatal(err)
		}
		if length >= n {
			return
		}
	}
}

// The server is killed in the middle of a push and started again: the push ends well.
// Then the client is killed in the middle of another one, which is run again: no block
// is sent that is there.
func TestStoreKilled(t *testing.T) {
	dir := t.TempDir()
	source, data, socket := filepath.Join(dir, "source"), filepath.Join(dir, "data"), filepath.Join(dir, "s")
	addr := "unix://" + socket
	for n, name := range []string{"a", "b/c", "d"} {
		name = filepath.Join(source, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, storetest.Block(n, 20<<20), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	server := startStore(t, socket, data)
	type result struct {
		stdout, stderr string
		code           int
	}
	done := make(chan result, 1)
	go func() {
		var r result
		r.stdout, r.stderr, r.code = execute(t, "", "store", "push", "--addr", addr, source)
		done <- r
	}()
	waitForBlocks(t, addr, 20)
	kill(t, server)
	server = startStore(t, socket, data)
	r := <-done
	if r.code != 0 {
		t.Fatalf("push: exit code %d, %s", r.code, r.stderr)
	}
	ok(t, "", "store", "contains", "--addr", addr, strings.TrimSpace(r.stdout))
	dest := filepath.Join(dir, "dest")
	ok(t, "", "store", "pull", "--addr", addr, "--archive", "source", dest)
	sameContents(t, dest, source)

	kill(t, server)
	data += "2"
	server = startStore(t, socket, data)
	push := program(t, "store", "push", "--addr", addr, source)
	if err := push.Start(); err != nil {
		t.Fatal(err)
	}
	waitForBlocks(t, addr, 20)
	kill(t, push)
	var report pushed
	if err := json.Unmarshal([]byte(ok(t, "", "store", "push", "--addr", addr, "--json", source)), &report); err != nil {
		t.Fatal(err)
	}
	blocks := strings.Fields(ok(t, "", "store", "ls", "--addr", addr))
	if report.BlocksMoved > uint64(len(blocks)-20) || report.Ref.String() != strings.TrimSpace(r.stdout) {
		t.Errorf("the second push moved %d of %d blocks: %v", report.BlocksMoved, len(blocks), report.Ref)
	}
	kill(t, server)
}
