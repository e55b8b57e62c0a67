//go:build unix

package stream

import (
	"bytes"
	"os"
	"syscall"
	"testing"
)

// One descriptor for both directions, as the Python package documents it. The
// connection neither closes it nor leaves a deadline on it.
func TestOneDescriptor(t *testing.T) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	var files [2]*os.File
	for i, fd := range fds {
		if err := syscall.SetNonblock(fd, true); err != nil { // so that the poller takes it
			t.Fatal(err)
		}
		files[i] = os.NewFile(uintptr(fd), "socketpair")
		defer files[i].Close()
	}
	ctx := deadline(t)
	for range 2 { // the same descriptors again, in sequence
		client, err := NewConn(files[0], Options{})
		if err != nil {
			t.Fatal(err)
		}
		server, err := NewConn(files[1], Options{Handler: echo})
		if err != nil {
			t.Fatal(err)
		}
		payload := bytes.Repeat([]byte("descriptor"), 100_000)
		resp, err := client.Call(ctx, Request{Payload: payload})
		if err != nil || !bytes.Equal(resp.Payload, payload) {
			t.Fatalf("%d bytes, %v", len(resp.Payload), err)
		}
		go server.Shutdown(ctx)
		if err := client.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := server.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	}
	if _, err := files[0].WriteString("still open"); err != nil {
		t.Error(err)
	}
	b := make([]byte, 10)
	if _, err := files[1].Read(b); err != nil || string(b) != "still open" {
		t.Errorf("%q, %v", b, err)
	}
}
