package metrics

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func mustNew(t testing.TB, o Options) (*Observer, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	m, err := New(reg, o)
	if err != nil {
		t.Fatal(err)
	}
	return m, reg
}

// Request types of the tests.
const (
	typeEcho = iota
	typeFail
	typePanic
	typeWait
	typeRefuse
)

var typeNames = map[uint64]string{typeEcho: "Echo", typeFail: "Fail", typePanic: "Panic", typeWait: "Wait", typeRefuse: "Refuse"}

// testMux serves them. Wait answers when release is closed.
func testMux(release <-chan struct{}) *stream.Mux {
	mux := new(stream.Mux)
	mux.HandleFunc(typeEcho, typeNames[typeEcho], func(_ context.Context, req stream.Request) (stream.Response, error) {
		return stream.Response{Payload: req.Payload}, nil
	})
	mux.HandleFunc(typeFail, typeNames[typeFail], func(context.Context, stream.Request) (stream.Response, error) {
		return stream.Response{}, errors.New("failed")
	})
	mux.HandleFunc(typePanic, typeNames[typePanic], func(context.Context, stream.Request) (stream.Response, error) {
		panic("on purpose")
	})
	mux.HandleFunc(typeWait, typeNames[typeWait], func(context.Context, stream.Request) (stream.Response, error) {
		<-release
		return stream.Response{}, nil
	})
	mux.HandleFunc(typeRefuse, typeNames[typeRefuse], func(context.Context, stream.Request) (stream.Response, error) {
		return stream.Response{}, stream.Reject("no")
	})
	return mux
}

// pair is a client and a server over a pipe, each with an observer of its own.
// wire counts the bytes that the client's stream has read and written.
type pair struct {
	client, server *stream.Conn
	wire           *countingStream
}

func connect(t testing.TB, client, server stream.Options) pair {
	t.Helper()
	a, b := net.Pipe()
	wire := &countingStream{Conn: a}
	c, err := stream.NewConn(wire, client)
	if err != nil {
		t.Fatal(err)
	}
	s, err := stream.NewConn(b, server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close(); a.Close(); b.Close() })
	return pair{c, s, wire}
}

// ask sends a request and waits for its outcome.
func (p pair) ask(ctx context.Context, req stream.Request) error {
	call, err := p.client.Submit(ctx, req)
	if err != nil {
		return err
	}
	_, err = call.Wait(context.Background())
	return err
}

type countingStream struct {
	net.Conn
	read, wrote atomic.Int64
}

func (s *countingStream) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	s.read.Add(int64(n))
	return n, err
}

func (s *countingStream) Write(b []byte) (int, error) {
	n, err := s.Conn.Write(b)
	s.wrote.Add(int64(n))
	return n, err
}

// samples returns every series with its value; of histograms their count.
func samples(t testing.TB, g prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			value := m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			all[seriesName(f, m)] = value
		}
	}
	return all
}

func seriesName(f *dto.MetricFamily, m *dto.Metric) string {
	var labels []string
	for _, l := range m.GetLabel() {
		labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
	}
	return fmt.Sprintf("%s{%s}", strings.TrimPrefix(f.GetName(), "pktsvc_"), strings.Join(labels, ","))
}

// want compares series; all that are not named must be 0.
func want(t *testing.T, g prometheus.Gatherer, expected map[string]float64) {
	t.Helper()
	got := samples(t, g)
	for name, value := range expected {
		v, exists := got[name]
		if !exists {
			t.Errorf("there is no series %s", name)
		} else if v != value {
			t.Errorf("%s is %v, want %v", name, v, value)
		}
		delete(got, name)
	}
	for name, value := range got {
		if value != 0 {
			t.Errorf("%s is %v, want 0", name, value)
		}
	}
}

func TestLint(t *testing.T) {
	_, reg := mustNew(t, Options{Types: typeNames})
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestNewErrors(t *testing.T) {
	_, err := New(nil, Options{Types: map[uint64]string{3: "\xff", 4: ""}})
	if err == nil || !strings.Contains(err.Error(), "request type 3") || !strings.Contains(err.Error(), "request type 4") {
		t.Errorf("bad names: %v", err)
	}
	_, reg := mustNew(t, Options{})
	if _, err := New(reg, Options{}); !errors.As(err, new(prometheus.AlreadyRegisteredError)) {
		t.Errorf("registered twice: %v", err)
	}
	m, err := New(nil, Options{Types: map[uint64]string{1: "Same", 2: "Same", 3: otherType}})
	if err != nil {
		t.Fatalf("equal names: %v", err)
	}
	if m.requests.of(0, 1, stream.RoleClient).duration != m.requests.of(0, 2, stream.RoleClient).duration {
		t.Error("types with one name do not share their series")
	}
}

type traceKey struct{}

func traceOf(ctx context.Context) (string, bool) {
	id, ok := ctx.Value(traceKey{}).(string)
	return id, ok
}

// follower follows every call.
type follower struct{}

func (follower) Events() stream.EventSet { return stream.Events(stream.EventCallBegin) }
func (follower) Begin(ctx context.Context, e *stream.Event) context.Context {
	e.Followed = true
	return ctx
}
func (follower) Observe(context.Context, *stream.Event) {}

func TestExemplars(t *testing.T) {
	const id = "0af7651916cd43dd8448eb211c80319c"
	tests := []struct {
		name     string
		trace    string
		followed bool
		want     bool
	}{
		{"sampled", id, true, true},
		{"followed by nobody", id, false, false},
		{"not sampled", "", true, false},
		{"too long for an exemplar", strings.Repeat("x", 200), true, false},
		{"not a text", "\xff", true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, reg := mustNew(t, Options{Types: typeNames, TraceID: traceOf})
			ctx := t.Context()
			if tt.trace != "" {
				ctx = context.WithValue(ctx, traceKey{}, tt.trace)
			}
			observer := stream.Observer(m)
			if tt.followed {
				observer = stream.Observers(follower{}, m)
			}
			p := connect(t, stream.Options{Observer: observer}, stream.Options{Handler: testMux(nil)})
			if err := p.ask(ctx, stream.Request{Type: typeEcho}); err != nil {
				t.Fatal(err)
			}
			classic, native := exemplars(t, reg)
			if !tt.want {
				if len(classic)+len(native) > 0 {
					t.Errorf("exemplars %v %v, want none", classic, native)
				}
				return
			}
			if !slices.Equal(classic, []string{id}) || !slices.Equal(native, []string{id}) {
				t.Errorf("exemplars %v and %v, want %s on both kinds of buckets", classic, native, id)
			}
		})
	}
}

// exemplars returns the values of the label trace_id.
func exemplars(t *testing.T, g prometheus.Gatherer) (classic, native []string) {
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	value := func(e *dto.Exemplar) string {
		if len(e.GetLabel()) != 1 || e.GetLabel()[0].GetName() != "trace_id" {
			t.Errorf("labels of an exemplar: %v", e.GetLabel())
		}
		return e.GetLabel()[0].GetValue()
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, b := range m.GetHistogram().GetBucket() {
				if b.GetExemplar() != nil {
					classic = append(classic, value(b.GetExemplar()))
				}
			}
			for _, e := range m.GetHistogram().GetExemplars() {
				native = append(native, value(e))
			}
		}
	}
	return classic, native
}

func TestObserveAllocatesNothing(t *testing.T) {
	m, _ := mustNew(t, Options{Types: typeNames, TraceID: traceOf})
	ctx := t.Context()
	rejection := &stream.Error{Outcome: stream.OutcomeRejected}
	for _, e := range []stream.Event{
		{Kind: stream.EventCallDone, Outcome: stream.OutcomeOK, Duration: 37 * time.Microsecond},
		{Kind: stream.EventCallDone, Outcome: stream.OutcomeRejected, Err: rejection, Packet: stream.Packet{Type: 4711}},
		{Kind: stream.EventRequestDone, Outcome: stream.OutcomeOK, Duration: time.Millisecond},
		{Kind: stream.EventRequestRejected, Outcome: stream.OutcomeRejected, Rejection: stream.RejectBusy},
	} {
		if n := testing.AllocsPerRun(1000, func() { m.Observe(ctx, &e) }); n != 0 {
			t.Errorf("%v, %v: %v allocations, want 0", e.Kind, e.Outcome, n)
		}
	}
}

func BenchmarkObserveCallDone(b *testing.B) {
	m, _ := mustNew(b, Options{Types: typeNames})
	e := &stream.Event{Kind: stream.EventCallDone, Outcome: stream.OutcomeOK, Duration: 37 * time.Microsecond}
	b.ReportAllocs()
	for b.Loop() {
		m.Observe(b.Context(), e)
	}
}
