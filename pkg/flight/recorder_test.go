package flight

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// brief is what most tests look at.
func brief(list []Request) (lines []string) {
	for _, q := range list {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %d %s %s", q.Role, q.Method, q.Tag, q.Outcome, q.Because)))
	}
	return lines
}

func wantBrief(t *testing.T, what string, list []Request, want ...string) {
	t.Helper()
	if got := brief(list); !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Every request is remembered on both sides, and those that are notable say why.
func TestRemembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mustNew(t, Options{SlowTypes: map[uint64]time.Duration{typeEcho: -1}})
		c := pair(t, r, r)
		for _, one := range []struct {
			typ     uint64
			payload string
		}{{typeEcho, "abc"}, {typeSleep, "100"}, {typeSleep, "250"}, {typeDecline, ""}, {typePanic, ""}, {99, ""}} {
			call(t, c, one.typ, one.payload)
			time.Sleep(time.Millisecond) // the order is that of ends
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := c.Call(ctx, stream.Request{Type: typeSleep, Payload: []byte("30")}); err == nil {
			t.Error("it came in time")
		}
		time.Sleep(time.Second)
		server := mustMatch(t, "role=server")
		wantBrief(t, "recent", r.Recent(server, 100),
			"server Sleep 8 ok", "server  7 rejected", "server Panic 6 rejected", "server Decline 5 rejected",
			"server Sleep 4 ok", "server Sleep 3 ok", "server Echo 2 ok")
		wantBrief(t, "notable at the server", r.Notable(server, 100),
			"server  7 rejected failed", "server Panic 6 rejected failed", "server Decline 5 rejected failed", "server Sleep 4 ok slow")
		wantBrief(t, "notable at the client", r.Notable(mustMatch(t, "role=client"), 100),
			"client Sleep 8 deadline cancelled", "client  7 rejected failed", "client Panic 6 rejected failed",
			"client Decline 5 rejected failed", "client Sleep 4 ok slow")
		wantBrief(t, "both", r.Ended(mustMatch(t, "role=server tag=2-4"), 100), "server Sleep 4 ok slow", "server Sleep 3 ok", "server Echo 2 ok")
		wantBrief(t, "the last", r.Recent(server, 1), "server Sleep 8 ok")
		if s := r.Stats(); s.Recorded != 14 || s.Notable != 9 || s.Suppressed != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// A request that is both notable and recent is listed once, though its time of day is
// reckoned for each, by a clock that goes on.
func TestEndedListsEachOnce(t *testing.T) {
	r := mustNew(t, Options{})
	call(t, pair(t, r, nil), typeDecline, "")
	for range 10_000 {
		if list := r.Ended(nil, 100); len(list) != 1 {
			t.Fatalf("%v", list)
		}
	}
}

// What is said of one request, as JSON.
func TestRequestAsJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mustNew(t, Options{Notify: func(*Notable) string { return "0123" }})
		c := pair(t, nil, r)
		begun := time.Now()
		call(t, c, typeSleep, "300")
		synctest.Wait()
		list := r.Notable(nil, 10)
		if len(list) != 1 {
			t.Fatalf("%d requests", len(list))
		}
		got, err := json.Marshal(list[0])
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf(`{"conn":"server","peer":"192.0.2.1:5","identity":"importer","channel":0,"tag":2,"type":1,"method":"Sleep",`+
			`"flags":0,"role":"server","state":"done","outcome":"ok","started":%q,"duration_us":300000,`+
			`"stages_us":{"handler_done":300000,"queued":0,"received":0,"response_written":300000,"started":0},"slowest_stage":"handler",`+
			`"request_bytes":3,"response_bytes":0,"trace_id":"0123","notable_because":"slow"}`, begun.Format(time.RFC3339Nano))
		if string(got) != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	})
}

// What is in flight is listed with the stage that it is in.
func TestInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mustNew(t, Options{})
		c := pair(t, r, r)
		done := make(chan struct{})
		go func() {
			defer close(done)
			call(t, c, typeSleep, "5000")
		}()
		time.Sleep(2 * time.Second)
		list := r.InFlight(mustMatch(t, "slower_than=1s"))
		if len(list) != 2 {
			t.Fatalf("%+v", list)
		}
		for _, q := range list {
			want := map[string]string{"client": "waiting peer", "server": "running handler"}[q.Role]
			if got := q.State + " " + q.Slowest; got != want || q.DurationUS != 2e6 || q.Outcome != "pending" {
				t.Errorf("%+v, want %s", q, want)
			}
		}
		for parameters, want := range map[string]int{
			"slower_than=3s": 0, "conn=client": 1, "tag=2": 2, "tag=3": 0, "outcome=failed": 0, "outcome=pending": 2, "type=Sleep identity=importer": 1,
		} {
			if got := r.InFlight(mustMatch(t, parameters)); len(got) != want {
				t.Errorf("%s: %d, want %d", parameters, len(got), want)
			}
		}
		<-done
		if list := r.InFlight(nil); len(list) != 0 {
			t.Errorf("%+v", list)
		}
	})
}

// A request whose caller has given it up was in its handler until then.
func TestCancelledInItsHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mustNew(t, Options{})
		c := pairOf(t, nil, r, stream.ExtensionAsk)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		call(t, c, typeEcho, "so that the extension is agreed on")
		if _, err := c.Call(ctx, stream.Request{Type: typeSleep, Payload: []byte("5000")}); err == nil {
			t.Error("it came in time")
		}
		synctest.Wait()
		list := r.Notable(nil, 2)
		if wantBrief(t, "notable", list, "server Sleep 3 rejected failed,slow"); list[0].Slowest != "handler" {
			t.Errorf("%+v", list[0])
		}
	})
}

// Between peers that have agreed on it a caller knows where its time went at the other end.
func TestPeerTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mustNew(t, Options{})
		near, far := net.Pipe()
		c, err := stream.NewConn(near, stream.Options{Observer: r, Extension: stream.ExtensionAsk})
		if err != nil {
			t.Fatal(err)
		}
		s, err := stream.NewConn(far, stream.Options{Observer: mustNew(t, Options{}), Handler: service()})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		call(t, c, typeSleep, "300")
		list := r.Notable(nil, 10)
		if len(list) != 1 || list[0].PeerTimes == nil || *list[0].PeerTimes != (PeerTimes{0, 300_000}) || list[0].Slowest != "peer_handler" {
			t.Errorf("%+v", list)
		}
		c.Close()
		s.Close()
		near.Close()
		far.Close()
	})
}

// slowWriter takes each write only after a time.
type slowWriter struct{ net.Conn }

func (s slowWriter) Write(b []byte) (int, error) {
	time.Sleep(time.Second)
	return s.Conn.Write(b)
}

// A request that was quick until its response had to wait for the stream is notable.
func TestSlowWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mustNew(t, Options{})
		near, far := net.Pipe()
		c, err := stream.NewConn(near, stream.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := stream.NewConn(slowWriter{far}, stream.Options{Observer: r, Handler: service()})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			call(t, c, typeEcho, "x")
		}
		synctest.Wait()
		list := r.Notable(nil, 10)
		wantBrief(t, "notable", list, "server Echo 4 ok slow", "server Echo 3 ok slow", "server Echo 2 ok slow")
		if len(list) > 0 && (list[0].Slowest != "write" || list[0].StagesUS["response_written"] != 1e6) {
			t.Errorf("%+v", list[0])
		}
		c.Close()
		s.Close()
		near.Close()
		far.Close()
	})
}

// Only the last records are there, each once, whatever is written meanwhile.
func TestOnlyTheLastAreRemembered(t *testing.T) {
	const records = 1000
	r := mustNew(t, Options{Records: records})
	part := len(r.shards[0].ring)
	c := conn(t, "one")
	tag := uint64(0)
	write := func(n int) {
		for range n {
			tag++
			r.ObserveEnds(c, stream.RoleClient, []stream.End{{Tag: tag}})
		}
	}
	write(3*part + 7)
	got := r.Recent(nil, 10*records)
	if len(got) != part || got[0].Tag != tag {
		t.Fatalf("%d requests, the last is %d; want %d and %d", len(got), got[0].Tag, part, tag)
	}
	seen := make(map[uint64]bool)
	n := 0
	r.shardOf(c.Info()).each(func(rec *record) bool {
		if n++; n == 1 {
			write(3 * part / 2) // all that follow are gone
		}
		if seen[rec.Tag] {
			t.Errorf("%d is there twice", rec.Tag)
		}
		seen[rec.Tag] = true
		return true
	})
	if n > part {
		t.Errorf("%d of %d records", n, part)
	}
}

// Many failures at a time do not take more than their share.
func TestFloodIsSuppressed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		r := mustNew(t, Options{Notify: func(*Notable) string { told++; return "" }})
		c := conn(t, "one")
		slow := []stream.End{{Tag: 1, Duration: time.Second}}
		r.ObserveEnds(c, stream.RoleServer, slow)
		failure := (&stream.End{Tag: 7}).Event(c, stream.RoleServer)
		failure.Outcome, failure.Err = stream.OutcomeRejected, errors.New("no")
		for range 3 * MaxNotable {
			r.Observe(t.Context(), failure)
		}
		if s := r.Stats(); told != MaxNotable+1 || s.Suppressed != 2*MaxNotable || s.Notable != 3*MaxNotable+1 {
			t.Errorf("told of %d, %+v", told, s)
		}
		if got := r.Notable(mustMatch(t, "outcome=ok"), 10); len(got) != 1 {
			t.Errorf("the slow one was pushed out: %v", brief(got))
		}
		time.Sleep(time.Second)
		r.Observe(t.Context(), failure)
		if told != MaxNotable+2 {
			t.Error("later ones are not told of")
		}
	})
}

// A request whose trace is sampled keeps it.
func TestSampledRequestKeepsItsTrace(t *testing.T) {
	type key struct{}
	r := mustNew(t, Options{
		TraceID: func(ctx context.Context) (string, bool) { id, ok := ctx.Value(key{}).(string); return id, ok },
		Notify: func(n *Notable) string {
			if n.Sampled {
				return ""
			}
			return "made"
		},
	})
	c := conn(t, "one")
	e := (&stream.End{Tag: 7, Duration: time.Second}).Event(c, stream.RoleServer)
	r.Observe(t.Context(), e)
	e.Followed = true
	r.Observe(context.WithValue(t.Context(), key{}, "sampled"), e)
	got := r.Notable(nil, 10)
	if len(got) != 2 || got[0].TraceID+got[1].TraceID != "madesampled" {
		t.Errorf("%+v", got)
	}
}

// The memory is what Options say, and recording takes no more.
func TestMemory(t *testing.T) {
	if size := unsafe.Sizeof(stream.PackedEnd{}); size != RecordSize {
		t.Errorf("a record has %d bytes, want %d", size, RecordSize)
	}
	r := mustNew(t, Options{})
	c, ends := conn(t, "one"), make([]stream.End, 16)
	for name, prepare := range map[string]func(){
		"alone": func() {},
		"with a rule that does not match": func() {
			if _, err := r.AddRule(RuleOptions{Match: *mustMatch(t, "tag=99")}); err != nil {
				t.Fatal(err)
			}
		},
	} {
		prepare()
		if n := testing.AllocsPerRun(100, func() { r.ObserveEnds(c, stream.RoleServer, ends) }); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	for _, rule := range r.Rules() {
		rule.Remove()
	}
}

// What does not fit into the ring is remembered as well, each in its place, and the next
// ones take the memory that is there.
func TestWholeRecords(t *testing.T) {
	r := mustNew(t, Options{Records: 40, Slow: -1})
	c := conn(t, "one")
	n := len(r.shardOf(c.Info()).ring)
	ends := make([]stream.End, 3*n/2)
	for i := range ends {
		ends[i] = stream.End{Tag: uint64(i), Duration: time.Duration(i)}
		switch i % 3 {
		case 1:
			ends[i].Label = fmt.Sprint("label ", i)
		case 2:
			ends[i].Type, ends[i].Duration = 1<<40, time.Hour
		}
	}
	r.ObserveEnds(c, stream.RoleClient, ends)
	i := len(ends)
	r.shardOf(c.Info()).each(func(rec *record) bool {
		i--
		if rec.End != ends[i] || rec.conn != c.Info() || rec.role != stream.RoleClient || rec.outcome != stream.OutcomeOK {
			t.Errorf("%+v, want %+v", rec, ends[i])
		}
		return true
	})
	if i != len(ends)-n {
		t.Errorf("%d are remembered, want %d", len(ends)-i, n)
	}
	for range 3 { // so that each place has had one
		r.ObserveEnds(c, stream.RoleClient, ends)
	}
	if allocs := testing.AllocsPerRun(100, func() { r.ObserveEnds(c, stream.RoleClient, ends) }); allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func TestWrongOptions(t *testing.T) {
	for _, o := range []Options{{Records: -1}, {Notable: -1}} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), "want 0 for the default") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// All at once, for the race detector.
func TestConcurrent(t *testing.T) {
	r := mustNew(t, Options{Records: 512, Slow: time.Nanosecond, Notify: func(n *Notable) string { return n.Because() }})
	var wg sync.WaitGroup
	for i := range 4 {
		c := conn(t, fmt.Sprint(i))
		wg.Go(func() {
			ends := make([]stream.End, 16)
			for i := range ends {
				ends[i].Duration = time.Duration(i)
			}
			for range 200 {
				r.ObserveEnds(c, stream.RoleServer, ends)
				r.Observe(t.Context(), ends[0].Event(c, stream.RoleClient))
			}
		})
	}
	wg.Go(func() {
		for range 50 {
			rule, err := r.AddRule(RuleOptions{Count: 3})
			if err != nil {
				t.Error(err)
				return
			}
			tap, err := r.Tap(nil, 1000)
			if err != nil {
				t.Error(err)
				return
			}
			_, _, _ = r.Ended(nil, 100), r.InFlight(nil), r.Stats()
			tap.Close()
			rule.Remove()
		}
	})
	wg.Wait()
	if r.watching.Load() != nil {
		t.Error("somebody watches still")
	}
}
