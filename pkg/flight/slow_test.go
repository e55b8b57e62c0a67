package flight

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Thresholds follow what types take lately, within their limits.
func TestLearn(t *testing.T) {
	r := mustNew(t, Options{SlowTypes: map[uint64]time.Duration{7: time.Hour}})
	c := conn(t, "one")
	serve := func(typ uint64, n int, took func(i int) time.Duration) {
		for i := range n {
			r.ObserveEnds(c, stream.RoleServer, []stream.End{{Type: typ, Tag: uint64(i), Duration: took(i)}})
		}
	}
	growing := func(unit time.Duration) func(int) time.Duration {
		return func(i int) time.Duration { return time.Duration(i) * unit }
	}
	serve(1, 1000, growing(10*time.Microsecond))
	serve(2, 1000, growing(time.Nanosecond))
	serve(3, 1000, growing(time.Millisecond))
	serve(4, 999, growing(10*time.Microsecond))
	serve(7, 1000, growing(10*time.Microsecond))
	serve(99, 1000, growing(20*time.Microsecond))
	r.Learn()
	for typ, want := range map[uint64]time.Duration{
		1:  9900*time.Microsecond + 1,
		2:  MinLearned,
		3:  DefaultSlow,
		4:  DefaultSlow, // too few
		5:  DefaultSlow, // none
		7:  time.Hour,   // fixed
		99: 19800*time.Microsecond + 1,
	} {
		if got := r.SlowFrom(typ); got != want {
			t.Errorf("type %d is slow from %v, want %v", typ, got, want)
		}
	}
	serve(1, 1, func(int) time.Duration { return 9900 * time.Microsecond })
	serve(1, 1, func(int) time.Duration { return 9901 * time.Microsecond })
	slow := 0
	for _, q := range r.Notable(mustMatch(t, "type=1"), 2000) {
		if q.Because != "slow" {
			t.Errorf("%+v", q)
		}
		slow++
	}
	if slow != 1 {
		t.Errorf("%d are notable, want the one above what was learned", slow)
	}

	// What was quick has become slower: so does the threshold, once that is what is known.
	for range 40 {
		serve(1, 4096, func(int) time.Duration { return 40 * time.Millisecond })
	}
	r.Learn()
	if got := r.SlowFrom(1); got != 40*time.Millisecond+1 {
		t.Errorf("%v", got)
	}
	none := mustNew(t, Options{Slow: -1})
	none.Learn()
	if got := none.SlowFrom(1); got != 0 {
		t.Errorf("%v", got)
	}
}

// The latencies of connections are those of their last requests.
func TestLatencies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mustNew(t, Options{})
		c := pair(t, r, nil)
		call(t, c, typeSleep, "500")
		time.Sleep(time.Minute)
		for i := range 100 {
			call(t, c, typeSleep, strconv.Itoa(i))
		}
		got := r.Latencies(time.Now().Add(-30 * time.Second))
		if want := (Latency{100, 49 * time.Millisecond, 98 * time.Millisecond}); len(got) != 1 || got[c.Info()] != want {
			t.Errorf("%v, want %v", got, want)
		}
		time.Sleep(time.Minute)
		if got := r.Latencies(time.Now().Add(-30 * time.Second)); len(got) != 0 {
			t.Errorf("%v", got)
		}
	})
}
