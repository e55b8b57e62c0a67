package logging

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// sink takes bytes as a test says.
type sink struct {
	mu   sync.Mutex
	got  []byte
	take func(b []byte) (int, error) // nil: all
}

func (s *sink) Write(b []byte) (int, error) {
	n, err := len(b), error(nil)
	if s.take != nil {
		n, err = s.take(b)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, b[:n]...)
	return n, err
}

func put(t *testing.T, o *Output, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if n, err := o.Write([]byte(line + "\n")); n != len(line)+1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
}

func TestOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s sink
		o := NewOutput(&s, 0)
		want := ""
		for range 3 { // with pauses, after which the goroutine is another
			put(t, o, "one", "two")
			want += "one\ntwo\n"
			if err := o.Sync(); err != nil {
				t.Error(err)
			}
			if string(s.got) != want || o.Lost() != 0 {
				t.Errorf("%q, %d lost, want %q", s.got, o.Lost(), want)
			}
		}
	})
}

// Nobody reads for a while: nobody waits, and what is more than fits is lost.
func TestOutputThatIsHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := sink{take: func(b []byte) (int, error) { <-release; return len(b), nil }}
		o := NewOutput(&s, 12)
		put(t, o, "first")
		synctest.Wait() // it is being written
		put(t, o, "12345", "12345", "lost", "lost")
		start := time.Now()
		if err := o.Sync(); err == nil || !strings.Contains(err.Error(), "12 bytes waiting") || time.Since(start) != syncTimeout {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		close(release)
		if err := o.Sync(); err != nil {
			t.Error(err)
		}
		put(t, o, "last")
		if err := o.Sync(); err != nil {
			t.Error(err)
		}
		if want := "first\n12345\n12345\nlast\n"; string(s.got) != want || o.Lost() != 2 {
			t.Errorf("%q, %d lost, want %q, 2 lost", s.got, o.Lost(), want)
		}
	})
}

// A disk that is full for a while.
func TestOutputThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next, full := make(chan struct{}), true
		s := sink{take: func(b []byte) (int, error) {
			if <-next; full {
				return 4, errors.New("no space left on device")
			}
			return len(b), nil
		}}
		o := NewOutput(&s, 0)
		put(t, o, "first")
		synctest.Wait() // it is being written
		put(t, o, "one", "two", "three")
		next <- struct{}{}
		next <- struct{}{}
		synctest.Wait()
		full = false
		put(t, o, "last")
		next <- struct{}{}
		if err := o.Sync(); err != nil {
			t.Error(err)
		}
		if want := "firs" + "one\n" + "last\n"; string(s.got) != want || o.Lost() != 3 {
			t.Errorf("%q, %d lost, want %q, 3 lost", s.got, o.Lost(), want)
		}
	})
}
