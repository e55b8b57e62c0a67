//go:build unix

package stream

import (
	"net"
	"runtime"
	"testing"
)

// Bytes that come while the reader asks again are read without a wait; a reader that
// does not ask waits.
func TestSocketReaderPolls(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ours, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	theirs, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	write := func() {
		if _, err := theirs.Write([]byte("x")); err != nil {
			t.Error(err)
		}
	}
	buf := make([]byte, 8)
	buffer := func() []byte { return buf }

	waits := 0
	r := newSocketReader(rawSocket(ours), polls{}, buffer, func() { waits++; go write() })
	if n, err := r.waitRead(); n != 1 || err != nil || waits != 1 {
		t.Errorf("%d bytes, error %v, %d waits; want 1, nil, 1", n, err, waits)
	}

	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // so that write runs when the reader lets it
	r = newSocketReader(rawSocket(ours), polls{most: 1 << 20}, buffer, func() {})
	for range 1000 { // the system may take longer with a byte than it is waited for
		r.polls.skip = 0
		go write()
		if n, err := r.waitRead(); n != 1 || err != nil {
			t.Fatalf("%d bytes, error %v; want 1, nil", n, err)
		}
		if r.polls.streak > 0 {
			return
		}
	}
	t.Error("no byte of 1000 was read without a wait")
}
