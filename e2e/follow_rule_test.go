package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pktsvc/pktsvc/pkg/diag"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// strewn is a constant load of one type of request, in which now and then some of another
// are strewn.
type strewn struct {
	conn     *stream.Conn
	stopping chan struct{}
	running  sync.WaitGroup
	last     atomic.Uint64 // tag that was seen lately
	left     atomic.Int64  // to be strewn

	mu   sync.Mutex
	tags []uint64 // of those that were strewn and answered, in the end
}

func (s *service) strewn(t *testing.T) *strewn {
	l := &strewn{conn: s.connect(t), stopping: make(chan struct{})}
	for range 8 {
		l.running.Go(func() { l.ask(t) })
	}
	t.Cleanup(func() { close(l.stopping); l.running.Wait() })
	return l
}

func (l *strewn) ask(t *testing.T) {
	for n := 0; ; n++ {
		select {
		case <-l.stopping:
			return
		default:
		}
		odd := n%7 == 0 && l.left.Load() > 0 && l.left.Add(-1) >= 0
		req := stream.Request{Type: diag.TypeEcho, Payload: []byte("abc")}
		if odd {
			req.Type = diag.TypeReverse
		}
		call, err := l.conn.Submit(context.Background(), req) // until stopping, not until the test's context ends
		if err == nil {
			_, err = call.Wait(context.Background())
		}
		if err != nil {
			t.Errorf("a request of the load: %v", err)
			return
		}
		l.last.Store(call.Tag())
		if odd {
			l.mu.Lock()
			l.tags = append(l.tags, call.Tag())
			l.mu.Unlock()
		}
	}
}

// strew strews so many, and returns their tags when all are answered.
func (l *strewn) strew(t *testing.T, n int) (tags []uint64) {
	t.Helper()
	l.mu.Lock()
	l.tags = nil
	l.mu.Unlock()
	l.left.Store(int64(n))
	eventually(t, time.Minute, "all that were strewn are answered", func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(l.tags) < n {
			return fmt.Errorf("%d of %d", len(l.tags), n)
		}
		tags = slices.Sorted(slices.Values(l.tags))
		return nil
	})
	return tags
}

// taken are the tags of the requests that a rule has made notable.
func taken(t *testing.T, s *service, rule uint64) (tags []uint64) {
	t.Helper()
	for _, q := range requests(t, s.admin, "requests", "--notable", "--limit", "1000") {
		if q.Because == fmt.Sprintf("rule %d", rule) {
			tags = append(tags, q.Tag)
		}
	}
	return slices.Sorted(slices.Values(tags))
}

// ruleAdded is what pktsvc trace prints of a rule.
type ruleAdded struct{ ID, Taken uint64 }

func (s *service) addRule(t *testing.T, args ...string) (id uint64) {
	t.Helper()
	added, err := objects[ruleAdded](tool(t, s.admin, append([]string{"trace", "add", "--json"}, args...)...))
	if err != nil || len(added) != 1 {
		t.Fatalf("pktsvc trace add: %v, %v", added, err)
	}
	t.Logf("pktsvc trace list\n%s", tool(t, s.admin, "trace", "list"))
	return added[0].ID
}

// withoutRules waits until no rule is in force.
func (s *service) withoutRules(t *testing.T) {
	t.Helper()
	eventually(t, time.Minute, "all rules have ended", func() error {
		list, err := objects[ruleAdded](tool(t, s.admin, "trace", "list", "--json"))
		if err == nil && len(list) > 0 {
			err = fmt.Errorf("there are %v", list)
		}
		return err
	})
}

// counter is the value of a line of /metrics.
func (s *service) counter(t *testing.T, name string) int {
	t.Helper()
	page, err := get(s.url("/metrics"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(page)) {
		if text, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				t.Fatal(err)
			}
			return int(v)
		}
	}
	t.Fatalf("no %s", name)
	return 0
}

// Rules that are set on a service under load take what matches and nothing else, end by
// themselves, and leave nothing behind.
func TestRulesUnderLoad(t *testing.T) {
	j := startJaeger(t)
	s := serve(t, program{env: append(j.environmentUnsampled(), "PKTSVC_RECORDER_SLOW=0")})
	l := s.strewn(t)
	l.strew(t, 100) // before there is a rule
	const (
		kept     = `pktsvc_recorder_notable_total{result="kept"}`
		exported = `pktsvc_trace_spans_total{result="exported"}`
	)
	if n := s.counter(t, kept); n != 0 {
		t.Fatalf("%d requests are notable without a rule", n)
	}

	// For a time: all that match.
	low := strconv.FormatUint(l.last.Load(), 10)
	id := s.addRule(t, "type=Reverse", "tag="+low+"-", "role=server", "--for", "6s")
	want := l.strew(t, 400)
	s.withoutRules(t)
	if got := taken(t, s, id); !slices.Equal(got, want) {
		t.Errorf("%d were strewn, %d taken: %v, %v", len(want), len(got), want, got)
	}

	// For a number of them: not one more. Each tenth of those that match, and each once.
	for _, args := range [][]string{{"--count", "60"}, {"--count", "30", "--every", "10"}} {
		id := s.addRule(t, append([]string{"type=Reverse"}, args...)...)
		among := make(map[uint64]bool)
		for _, tag := range l.strew(t, 400) {
			among[tag] = true
		}
		s.withoutRules(t)
		got := taken(t, s, id)
		if fmt.Sprint(len(got)) != args[1] || len(slices.Compact(got)) != len(got) {
			t.Errorf("%v: %d are taken: %v", args, len(got), got)
		}
		for _, tag := range got {
			if !among[tag] {
				t.Errorf("%v: tag %d is taken, and does not match: %v", args, tag, slices.Sorted(maps.Keys(among)))
			}
		}
		want = append(want, got...)
	}

	// When they have gone, what matched is like all else.
	l.strew(t, 400)
	if n := s.counter(t, kept); n != len(want) {
		t.Errorf("%d requests are notable, the rules have taken %d", n, len(want))
	}
	eventually(t, time.Minute, "the spans have left", func() error {
		if n := s.counter(t, exported); n != len(want) {
			return fmt.Errorf("%d, want %d", n, len(want))
		}
		return nil
	})
	q := requests(t, s.admin, "requests", "--notable", "--limit", "1")[0]
	j.has(t, q.TraceID, "pktsvc server")
	if spans, err := j.trace(q.TraceID); err != nil || spans[0].tags()["pktsvc.notable_because"] != q.Because || spans[0].tags()["pktsvc.tag"] != strconv.FormatUint(q.Tag, 10) {
		t.Errorf("the span of %+v is %v, %v", q, spans, err)
	}
}
