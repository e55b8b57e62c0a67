package e2e

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/pktsvc/pktsvc/pkg/diag"
	"github.com/pktsvc/pktsvc/pkg/flight"
	"github.com/pktsvc/pktsvc/pkg/server"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// One request in many is slow, by a fault of which only its time tells. It is found.
const (
	manyRequests = 100_000
	oddRequest   = 90_000 // which one it is
	faultTime    = 6 * time.Second
	slowFrom     = faultTime / 2 // far above what a busy machine does to a request
)

// following is a client, a service in the middle, and one behind it, with all that
// observes them. No trace is sampled when it begins.
type following struct {
	jaeger        *jaeger
	prometheus    *prometheus
	behind, relay *service
	observed      *server.Client // observes the calls of client
	client        *stream.Client
}

// follow starts them. between returns the address at which the relay finds the service
// behind.
func follow(t *testing.T, between func(addr string) string) *following {
	t.Helper()
	f := &following{jaeger: startJaeger(t)}
	env := append(f.jaeger.environmentUnsampled(), "PKTSVC_RECORDER_SLOW="+slowFrom.String(),
		"PKTSVC_RECORDER_RECORDS="+strconv.Itoa(4*manyRequests)) // connections share it, and what came last is to be there
	f.behind = serve(t, program{env: env})
	f.relay = relay(t, between(f.behind.addr), env)
	f.prometheus = startPrometheus(t, map[string][]string{"behind": {f.behind.admin}, "relay": {f.relay.admin}})
	f.observed = observe(t, f.jaeger, slowFrom)
	f.client = call(t, f.observed, "tcp", f.relay.addr)
	return f
}

// observe has calls of this process observed, which is the service named caller.
func observe(t *testing.T, j *jaeger, slow time.Duration) *server.Client {
	t.Helper()
	for _, setting := range j.environmentUnsampled() {
		name, value, _ := strings.Cut(setting, "=")
		t.Setenv(name, value)
	}
	cfg := server.Default()
	cfg.Admin, cfg.Log.Level, cfg.Tracing.Service = address(t), "error", "caller"
	cfg.Recorder.Slow = slow
	observed, err := server.NewClient(cfg, server.Service{Name: "diag", Mux: diag.Mux()})
	if err == nil {
		err = observed.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := observed.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return observed
}

// call makes a client whose calls are observed.
func call(t *testing.T, observed *server.Client, network, addr string) *stream.Client {
	t.Helper()
	c, err := stream.NewClient(stream.DialNetwork(network, addr), stream.ClientOptions{
		Conn: stream.Options{Name: "caller", Observer: observed.Observer()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// askMany asks for sleeps of no time, and once, when most are done, for that of the payload
// given. It returns the tag of that one.
func (f *following) askMany(t *testing.T, payload string) (tag uint64) {
	t.Helper()
	var asked atomic.Int64
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for {
				n := asked.Add(1)
				if n > manyRequests {
					return
				}
				req := stream.Request{Type: diag.TypeSleep, Payload: []byte("0")}
				if n == oddRequest {
					req.Payload = []byte(payload)
				}
				call, err := f.client.Submit(t.Context(), req)
				if err == nil {
					_, err = call.Wait(t.Context())
				}
				if err != nil {
					t.Errorf("request %d: %v", n, err)
					return
				}
				if n == oddRequest {
					tag = call.Tag()
				}
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return tag
}

// notable is the one notable request of a role, and of what else is given. It is found by
// its name, too.
func notable(t *testing.T, admin, role string, match ...string) flight.Request {
	t.Helper()
	list := requests(t, admin, append([]string{"requests", "--notable", "role=" + role}, match...)...)
	if len(list) != 1 {
		t.Fatalf("%d requests are notable as %s, want 1: %v", len(list), role, list)
	}
	q := list[0]
	if byName := requests(t, admin, "show", q.Name()); len(byName) != 1 || byName[0].TraceID != q.TraceID || byName[0].Slowest != q.Slowest {
		t.Errorf("show %s finds %+v, want %+v", q.Name(), byName, q)
	}
	if q.Because != "slow" || len(q.TraceID) != 32 {
		t.Errorf("%s is notable because %q, in trace %q", q.Name(), q.Because, q.TraceID)
	}
	t.Logf("pktsvc show %s\n%s", q.Name(), tool(t, admin, "show", q.Name()))
	return q
}

// A handler is slow, once. The request is found by its tag in each process, and in the
// middle and behind as the same one; its trace has both ends, and says where the time went.
func TestFollowSlowHandler(t *testing.T) {
	f := follow(t, func(addr string) string { return addr })
	match := []string{"role=server", "type=Sleep", "slower_than=" + slowFrom.String()}
	atRelay, atBehind := startTap(t, f.relay.admin, match...), startTap(t, f.behind.admin, match...)

	tag := f.askMany(t, strconv.FormatInt(faultTime.Milliseconds(), 10))

	t.Logf("pktsvc requests --notable, at the relay\n%s", tool(t, f.relay.admin, "requests", "--notable"))
	t.Logf("pktsvc requests --notable, behind\n%s", tool(t, f.behind.admin, "requests", "--notable"))
	tapped := atRelay.one(t)
	if tapped.Tag != tag || tapped.Slowest != "handler" {
		t.Errorf("tap shows %s, mostly in %s; want tag %d, in handler", tapped.Name(), tapped.Slowest, tag)
	}
	if q := notable(t, f.relay.admin, "server"); q.Tag != tag || q.TraceID != tapped.TraceID {
		t.Errorf("the relay remembers %s in trace %s, its tap has shown %s in %s", q.Name(), q.TraceID, tapped.Name(), tapped.TraceID)
	}
	asks, serves := notable(t, f.relay.admin, "client"), notable(t, f.behind.admin, "server")
	if asks.Tag != serves.Tag || asks.TraceID != serves.TraceID {
		t.Errorf("the relay asks with tag %d in trace %s, and behind that is tag %d in %s", asks.Tag, asks.TraceID, serves.Tag, serves.TraceID)
	}
	if q := atBehind.one(t); q.Tag != serves.Tag || q.TraceID != serves.TraceID {
		t.Errorf("tap shows %s, want tag %d", q.Name(), serves.Tag)
	}
	if serves.Slowest != "handler" || asks.Slowest != "peer_handler" {
		t.Errorf("most of the time went in %s of the service and in %s as the relay knows", serves.Slowest, asks.Slowest)
	}
	outer := notable(t, strings.TrimPrefix(f.observed.AdminURL(), "http://"), "client")
	if outer.Tag != tag || outer.TraceID != tapped.TraceID {
		t.Errorf("the caller remembers %s in trace %s, the relay tag %d in %s", outer.Name(), outer.TraceID, tag, tapped.TraceID)
	}

	f.exemplars(t, map[[2]string]string{
		{"relay", "server"}: tapped.TraceID, {"relay", "client"}: asks.TraceID, {"behind", "server"}: serves.TraceID,
	})
	f.traced(t, asks.TraceID, "relay", "pktsvc")
	f.traced(t, tapped.TraceID, "caller", "relay")
}

// The wire holds one response back. That end which waits for it knows so, since the peer has
// told how long it took itself, and its trace says so; behind, the request is found by its
// tag among the many that were quick.
func TestFollowSlowWire(t *testing.T) {
	const payload = "5" // so many milliseconds are worth being told
	f := follow(t, func(addr string) string { return (&wire{payload: payload, to: addr}).laid(t) })
	tag := f.askMany(t, payload)

	if q := notable(t, f.relay.admin, "server"); q.Tag != tag || q.Slowest != "handler" {
		t.Errorf("the relay remembers %s, mostly in %s; want tag %d, in handler", q.Name(), q.Slowest, tag)
	}
	asks := notable(t, f.relay.admin, "client")
	if asks.Slowest != "wire" || asks.PeerTimes == nil || asks.PeerTimes.HandlerUS < 5000 {
		t.Errorf("the relay says that the time went in %s, and that the peer has taken %+v", asks.Slowest, asks.PeerTimes)
	}
	if list := requests(t, f.behind.admin, "requests", "--notable"); len(list) != 0 {
		t.Errorf("behind, nothing was slow, but notable is %v", list)
	}
	serves := requests(t, f.behind.admin, "requests", "--recent", "role=server", "tag="+strconv.FormatUint(asks.Tag, 10))
	if len(serves) != 1 || serves[0].Method != "Sleep" || serves[0].DurationUS > faultTime.Microseconds()/2 {
		t.Errorf("behind, tag %d was %v", asks.Tag, serves)
	}
	eventually(t, time.Minute, "the trace says where the time went", func() error {
		spans, err := f.jaeger.trace(asks.TraceID)
		if err != nil || len(spans) != 1 {
			return fmt.Errorf("%d spans, %w", len(spans), err)
		}
		handled, err := strconv.ParseFloat(spans[0].tags()["pktsvc.peer.handled"], 64)
		if err != nil || handled < 0.005 || handled > faultTime.Seconds()/2 || spans[0].Duration < faultTime.Microseconds() {
			t.Fatalf("the peer has handled it for %v s, %v: %v", handled, err, &spans[0])
		}
		return nil
	})
}

// A caller that samples a request has one trace of it in all three processes.
func TestFollowSampled(t *testing.T) {
	f := follow(t, func(addr string) string { return addr })
	id := trace.TraceID{1, 15: 1}
	ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: id, SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled,
	}))
	// A call carries nothing until the connection has had its first answer.
	for _, ctx := range []context.Context{t.Context(), ctx} {
		if _, err := f.client.Call(ctx, stream.Request{Type: diag.TypeEcho}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, time.Minute, "the trace goes through", func() error {
		spans, err := f.jaeger.trace(id.String())
		if err != nil {
			return err
		}
		parent, path := trace.SpanID{1}.String(), ""
		for range spans {
			for i := range spans {
				if s := &spans[i]; len(s.References) == 1 && s.References[0].SpanID == parent {
					path += s.service + " " + s.tags()["span.kind"] + ", "
					parent = s.SpanID
					break
				}
			}
		}
		if path != "caller client, relay server, relay client, pktsvc server, " {
			return fmt.Errorf("%q of %d spans", path, len(spans))
		}
		return nil
	})
}

// exemplars waits until Prometheus has exemplars of the traces, by job and role, and
// expects no others.
func (f *following) exemplars(t *testing.T, want map[[2]string]string) {
	t.Helper()
	eventually(t, time.Minute, "the exemplars are there", func() error {
		now := time.Now()
		results, err := f.prometheus.QueryExemplars(t.Context(), "pktsvc_request_duration_seconds_bucket", now.Add(-10*time.Minute), now)
		if err != nil {
			return err
		}
		found := make(map[[2]string]string)
		for _, series := range results {
			for _, e := range series.Exemplars {
				at, id := [2]string{string(series.SeriesLabels["job"]), string(series.SeriesLabels["role"])}, string(e.Labels["trace_id"])
				if found[at] != "" && found[at] != id {
					return fmt.Errorf("two exemplars of %v: %s and %s", at, found[at], id)
				}
				found[at] = id
				if time.Duration(float64(e.Value)*float64(time.Second)) < faultTime {
					return fmt.Errorf("an exemplar of %v at %v: %v", at, e.Value, e.Labels)
				}
			}
		}
		if fmt.Sprint(found) != fmt.Sprint(want) {
			return fmt.Errorf("%v, want %v", found, want)
		}
		return nil
	})
}

// traced waits until Jaeger has a trace with the spans of both ends of a call, and checks
// that these have true times and stages, of which one has taken the time of the fault.
func (f *following) traced(t *testing.T, id, asks, serves string) {
	t.Helper()
	var client, server jaegerSpan
	eventually(t, time.Minute, "the trace has both ends", func() error {
		spans, err := f.jaeger.trace(id)
		if err != nil {
			return err
		}
		kinds := make(map[string]jaegerSpan)
		for _, s := range spans {
			kinds[s.tags()["span.kind"]+" "+s.service] = s
		}
		client, server = kinds["client "+asks], kinds["server "+serves]
		if len(spans) != 2 || client.SpanID == "" || server.SpanID == "" {
			return fmt.Errorf("%d spans: %v", len(spans), kinds)
		}
		return nil
	})
	for _, s := range []*jaegerSpan{&client, &server} {
		t.Log(s)
		if s.OperationName != "Sleep" || s.Duration < faultTime.Microseconds() {
			t.Errorf("%s has taken %d µs, want at least those of the fault", s.OperationName, s.Duration)
		}
	}
	if client.StartTime > server.StartTime || client.Duration < server.Duration {
		t.Errorf("the request was served before it was asked, or for longer: %v, %v", &client, &server)
	}
	if client.tags()["pktsvc.tag"] != server.tags()["pktsvc.tag"] {
		t.Errorf("the ends have other tags: %v, %v", &client, &server)
	}
	for span, stage := range map[*jaegerSpan][2]string{
		&client: {"pktsvc.request.written", "pktsvc.response.received"},
		&server: {"pktsvc.request.started", "pktsvc.request.handled"},
	} {
		from, to := span.event(stage[0]), span.event(stage[1])
		if from < 0 || to-from < faultTime.Microseconds()-1000 {
			t.Errorf("the span does not say that the time went from %s to %s: %v", stage[0], stage[1], span)
		}
	}
}

// event is when an event was, in microseconds after the start; less than 0: there is none.
func (s *jaegerSpan) event(name string) int64 {
	for _, l := range s.Logs {
		for _, field := range l.Fields {
			if field.Key == "event" && field.Value == name {
				return l.Timestamp - s.StartTime
			}
		}
	}
	return -1
}

// String is the span with its stages, for people.
func (s *jaegerSpan) String() string {
	has := s.tags()
	text := fmt.Sprintf("%s %s of %s, %s tag %s, %v", s.service, has["span.kind"], s.OperationName, has["pktsvc.conn"], has["pktsvc.tag"], time.Duration(s.Duration)*time.Microsecond)
	for _, l := range s.Logs {
		for _, field := range l.Fields {
			if field.Key == "event" {
				text += fmt.Sprintf("\n    %12v %v", time.Duration(l.Timestamp-s.StartTime)*time.Microsecond, field.Value)
			}
		}
	}
	return text
}
