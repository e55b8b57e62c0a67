package simnet

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

var (
	_ net.Conn = (*Conn)(nil)

	errTest = errors.New("test")
)

// step is one call on an end, what it returns, and when, from the beginning.
type step struct {
	do   func(a, b *Conn) (string, error)
	want string
	err  error
	at   time.Duration
}

func writes(text string) func(a, b *Conn) (string, error) {
	return func(a, _ *Conn) (string, error) {
		n, err := a.Write([]byte(text))
		return text[:n], err
	}
}

func reads(size int) func(a, b *Conn) (string, error) {
	return func(_, b *Conn) (string, error) {
		p := make([]byte, size)
		n, err := b.Read(p)
		return string(p[:n]), err
	}
}

// does is a step that returns nothing.
func does(f func(a, b *Conn)) func(a, b *Conn) (string, error) {
	return func(a, b *Conn) (string, error) { f(a, b); return "", nil }
}

func in(d time.Duration) time.Time { return time.Now().Add(d) }

func TestStream(t *testing.T) {
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		profile Profile
		steps   []step
	}{
		"at once": {Profile{}, []step{
			{do: writes("abc"), want: "abc"}, {do: reads(2), want: "ab"}, {do: reads(2), want: "c"}}},
		"latency": {Profile{Latency: 30 * ms}, []step{
			{do: writes("abc"), want: "abc"}, {do: reads(5), want: "abc", at: 30 * ms}}},
		"bandwidth": {Profile{Bandwidth: 1000, Latency: 5 * ms}, []step{
			{do: writes("12345"), want: "12345"}, {do: writes("6"), want: "6"},
			{do: reads(9), want: "12345", at: 10 * ms}, {do: reads(9), want: "6", at: 11 * ms}}},
		"a line that was idle": {Profile{Bandwidth: 1000}, []step{
			{do: does(func(_, _ *Conn) { time.Sleep(time.Second) }), at: 1000 * ms},
			{do: writes("1"), want: "1", at: 1000 * ms}, {do: reads(9), want: "1", at: 1001 * ms}}},
		"a full buffer": {Profile{Buffer: 3}, []step{
			{do: does(func(a, _ *Conn) { _ = a.SetWriteDeadline(in(20 * ms)) })},
			{do: writes("abcdef"), want: "abc", err: os.ErrDeadlineExceeded, at: 20 * ms},
			{do: reads(2), want: "ab", at: 20 * ms},
			{do: does(func(a, _ *Conn) { _ = a.SetDeadline(time.Time{}) }), at: 20 * ms},
			{do: writes("de"), want: "de", at: 20 * ms}, {do: reads(9), want: "cde", at: 20 * ms}}},
		"chunks of one byte": {Profile{Chunk: 1}, []step{
			{do: writes("ab"), want: "ab"}, {do: reads(9), want: "a"}, {do: reads(9), want: "b"}}},
		"read deadline": {Profile{}, []step{
			{do: does(func(_, b *Conn) { _ = b.SetReadDeadline(in(7 * ms)) })},
			{do: reads(1), err: os.ErrDeadlineExceeded, at: 7 * ms},
			{do: writes("a"), want: "a", at: 7 * ms},
			{do: reads(1), err: os.ErrDeadlineExceeded, at: 7 * ms}}},
		"half-close": {Profile{Latency: 2 * ms}, []step{
			{do: writes("abc"), want: "abc"},
			{do: does(func(a, _ *Conn) { _ = a.CloseWrite() })},
			{do: writes("d"), err: io.ErrClosedPipe},
			{do: reads(9), want: "abc", at: 2 * ms}, {do: reads(9), err: io.EOF, at: 2 * ms}}},
		"close": {Profile{}, []step{
			{do: writes("abc"), want: "abc"},
			{do: does(func(a, _ *Conn) { _ = a.Close() })},
			{do: writes("d"), err: net.ErrClosed},
			{do: reads(9), want: "abc"}, {do: reads(9), err: io.EOF}}},
		"the reader closes": {Profile{}, []step{
			{do: writes("abc"), want: "abc"},
			{do: does(func(_, b *Conn) { _ = b.Close() })},
			{do: writes("d"), err: syscall.EPIPE}, {do: reads(9), err: net.ErrClosed}}},
		"reset": {Profile{}, []step{
			{do: writes("abc"), want: "abc"},
			{do: does(func(_, b *Conn) { b.Reset() })},
			{do: reads(9), err: syscall.ECONNRESET}, {do: writes("d"), err: syscall.ECONNRESET}}},
		"hold": {Profile{}, []step{
			{do: writes("abc"), want: "abc"},
			{do: does(func(a, _ *Conn) { a.Hold(50 * ms) })},
			{do: reads(2), want: "ab", at: 50 * ms}, {do: writes("d"), want: "d", at: 50 * ms}}},
		"hold stops writers": {Profile{}, []step{
			{do: does(func(a, _ *Conn) { a.Hold(50 * ms) })},
			{do: writes("d"), want: "d", at: 50 * ms}}},
		"vanish": {Profile{Buffer: 4, Latency: ms}, []step{
			{do: writes("ab"), want: "ab"},
			{do: does(func(a, b *Conn) { a.Vanish(); _ = a.SetWriteDeadline(in(9 * ms)); _ = b.SetReadDeadline(in(20 * ms)) })},
			{do: writes("cdef"), want: "cd", err: os.ErrDeadlineExceeded, at: 9 * ms},
			{do: reads(9), want: "ab", at: 9 * ms},
			{do: does(func(a, _ *Conn) { _ = a.Close() }), at: 9 * ms},
			{do: reads(9), err: os.ErrDeadlineExceeded, at: 20 * ms}}},
		"corrupt": {Profile{}, []step{
			{do: writes("ab"), want: "ab"},
			{do: does(func(a, _ *Conn) { a.Corrupt(1, 0x20) })},
			{do: writes("cde"), want: "cde"}, {do: reads(9), want: "abcDe"}}},
		"broken for the reader": {Profile{}, []step{
			{do: does(func(_, b *Conn) { b.FailReads(errTest) })},
			{do: reads(9), err: errTest}, {do: writes("a"), want: "a"}}},
		"broken for the writer": {Profile{}, []step{
			{do: writes("a"), want: "a"},
			{do: does(func(a, _ *Conn) { a.FailWrites(errTest) })},
			{do: writes("b"), err: errTest}, {do: reads(9), want: "a"}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				a, b := Pair(1, c.profile, Profile{})
				for i, s := range c.steps {
					got, err := s.do(a, b)
					if at := time.Since(start); got != s.want || !errors.Is(err, s.err) || at != s.at {
						t.Errorf("step %d: %q, %v after %v; want %q, %v after %v", i, got, err, at, s.want, s.err, s.at)
					}
				}
			})
		})
	}
}

// Faults reach those who wait already.
func TestFaultsWake(t *testing.T) {
	for name, fault := range map[string]func(a, b *Conn){
		"reset":    func(a, _ *Conn) { a.Reset() },
		"close":    func(a, b *Conn) { _ = a.Close(); _ = b.Close() },
		"deadline": func(a, b *Conn) { _ = a.SetDeadline(time.Unix(1, 0)); _ = b.SetDeadline(time.Unix(1, 0)) },
		"fail":     func(a, b *Conn) { a.FailWrites(errTest); b.FailReads(errTest) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := Pair(1, Profile{Buffer: 10}, Profile{})
				written, read := make(chan error), make(chan error)
				go func() { _, err := b.Read(make([]byte, 1)); read <- err }()
				synctest.Wait()
				a.Hold(time.Hour)
				go func() { _, err := a.Write(make([]byte, 11)); written <- err }()
				synctest.Wait()
				fault(a, b)
				if w, r := <-written, <-read; w == nil || r == nil {
					t.Errorf("write: %v, read: %v", w, r)
				}
			})
		})
	}
}

// What is written comes in order and whole, whatever the profile.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		a, b := Pair(7, Profile{Latency: 20 * time.Millisecond, Jitter: 30 * time.Millisecond, Bandwidth: 1 << 20, Buffer: 5000, Chunk: 700}, Profile{})
		want := make([]byte, 100_000)
		for i := range want {
			want[i] = byte(i * i >> 7)
		}
		go func() {
			for rest := want; len(rest) > 0; rest = rest[min(len(rest), 1234):] {
				if _, err := a.Write(rest[:min(len(rest), 1234)]); err != nil {
					t.Error(err)
				}
			}
			_ = a.CloseWrite()
		}()
		got, err := io.ReadAll(b)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if n := a.Written(); n != int64(len(want)) {
			t.Errorf("%d bytes written", n)
		}
		// Every full buffer has to cross the latency before there is room again.
		if took := time.Since(start); took < 20*20*time.Millisecond || took > 20*5*50*time.Millisecond {
			t.Errorf("took %v", took)
		}
	})
}
