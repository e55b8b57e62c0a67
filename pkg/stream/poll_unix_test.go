//go:build unix

package stream

import (
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// socketPair connects two sockets.
func socketPair(t *testing.T) (ours, theirs net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if ours, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close() })
	if theirs, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { theirs.Close() })
	return ours, theirs
}

// fakeBuffer is where a reader reads to in these tests.
type fakeBuffer struct {
	space  func() []byte
	before func()
}

func (f fakeBuffer) free() []byte { return f.space() }
func (f fakeBuffer) letGo()       { f.before() }

// A reader whose turns others make long polls no further: it could not be interrupted.
func TestPollingEndsWhereTurnsAreLong(t *testing.T) {
	ours, theirs := socketPair(t)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var turns atomic.Int64
	var stop atomic.Bool
	polled := int64(-1)
	r := newSocketReader(rawSocket(ours), polls{most: 1 << 20, active: new(activity)}, fakeBuffer{func() []byte { return make([]byte, 8) }, func() {
		polled = turns.Load()
		stop.Store(true)
		if _, err := theirs.Write([]byte("x")); err != nil {
			t.Error(err)
		}
	}})
	gone := make(chan struct{})
	go func() { // works for long between two looks of the reader
		defer close(gone)
		for !stop.Load() {
			for begun := time.Now(); time.Since(begun) < maxPolling; {
			}
			turns.Add(1)
			runtime.Gosched()
		}
	}()
	if n, _, err := r.waitRead(); n != 1 || err != nil {
		t.Errorf("%d bytes, error %v; want 1, nil", n, err)
	}
	<-gone
	if polled < 0 || polled > 2*pollsALook {
		t.Errorf("it waited after %d long turns of others, want at most %d", polled, 2*pollsALook)
	}
}

// Bytes that come while the reader asks again are read without a wait; a reader that
// does not ask waits.
func TestSocketReaderPolls(t *testing.T) {
	ours, theirs := socketPair(t)
	write := func() {
		if _, err := theirs.Write([]byte("x")); err != nil {
			t.Error(err)
		}
	}
	buf := make([]byte, 8)
	buffer := func() []byte { return buf }

	waits := 0
	r := newSocketReader(rawSocket(ours), polls{}, fakeBuffer{buffer, func() { waits++; go write() }})
	if n, _, err := r.waitRead(); n != 1 || err != nil || waits != 1 {
		t.Errorf("%d bytes, error %v, %d waits; want 1, nil, 1", n, err, waits)
	}

	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // so that write runs when the reader lets it
	r = newSocketReader(rawSocket(ours), polls{most: 1 << 20, active: new(activity)}, fakeBuffer{buffer, func() {}})
	for range 1000 { // the system may take longer with a byte than it is waited for
		r.polls.skip = 0
		go write()
		if n, _, err := r.waitRead(); n != 1 || err != nil {
			t.Fatalf("%d bytes, error %v; want 1, nil", n, err)
		}
		if r.polls.streak > 0 {
			return
		}
	}
	t.Error("no byte of 1000 was read without a wait")
}

// The more packets have come the longer a reader polls: once, not at each part of what
// follows.
func TestPollingIsLongAfterManyPackets(t *testing.T) {
	ours, theirs := socketPair(t)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // so that others have a turn each time it asks
	var turns atomic.Int64                          // of others
	var waited int64                                // how many there were when it waited
	buf := make([]byte, 8)
	r := newSocketReader(rawSocket(ours), polls{most: 1 << 20, active: new(activity)}, fakeBuffer{func() []byte { return buf }, func() {
		waited = turns.Load()
		if _, err := theirs.Write([]byte("x")); err != nil {
			t.Error(err)
		}
	}})
	stop, gone := make(chan struct{}), make(chan struct{})
	defer func() { close(stop); <-gone }()
	go func() {
		defer close(gone)
		for {
			select {
			case <-stop:
				return
			default:
				turns.Add(1)
				runtime.Gosched()
			}
		}
	}()
	asks := func() int64 {
		r.polls.skip = 0
		before := turns.Load()
		if n, _, err := r.waitRead(); n != 1 || err != nil {
			t.Fatalf("%d bytes, error %v; want 1, nil", n, err)
		}
		return waited - before
	}
	// Others have about one turn each time it asks.
	const longer = minPolls + 100*pollsAPacket/2
	after := int64(0)
	for range 100 { // turns of others may be so long that it asks less often
		r.polls.handled(50)
		r.polls.handled(50)
		after = max(after, asks())
		if n := asks(); n >= longer {
			t.Fatalf("it asked some %d times where no packet had come, want %d", n, minPolls)
		}
		if after >= longer {
			return
		}
	}
	t.Errorf("it asked at most some %d times after 100 packets, want %d", after, minPolls+100*pollsAPacket)
}

// A connection tells its reader how many packets have come.
func TestReaderCountsPackets(t *testing.T) {
	ours, theirs := socketPair(t)
	conn, err := NewConn(ours, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var packets []byte
	for i := range uint64(8) {
		p := Packet{Kind: KindRequest, Tag: i, Channel: 1}
		if i == 7 {
			p = Packet{Kind: KindEOF}
		}
		if packets, err = p.AppendBinary(packets); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := theirs.Write(packets); err != nil {
		t.Fatal(err)
	}
	if err := conn.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := conn.in.socket.polls.batch; got != 8 {
		t.Errorf("its reader has counted %d packets, want 8", got)
	}
}
