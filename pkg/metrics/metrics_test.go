package metrics

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

var update = flag.Bool("update", false, "write testdata/metrics.golden anew")

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

func TestGolden(t *testing.T) {
	_, reg := mustNew(t, Options{Types: map[uint64]string{0: "Echo", 7: "Add"}})
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range families {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", f.GetName(), f.GetHelp(), f.GetName(), strings.ToLower(f.GetType().String()))
		for _, m := range f.GetMetric() {
			fmt.Fprintf(&b, "pktsvc_%s\n", seriesName(f, m))
		}
		if h := f.GetMetric()[0].GetHistogram(); h != nil {
			fmt.Fprintf(&b, "# native schema %d, buckets", h.GetSchema())
			for _, bucket := range h.GetBucket() {
				fmt.Fprintf(&b, " %g", bucket.GetUpperBound())
			}
			fmt.Fprintln(&b)
		}
	}
	const file = "testdata/metrics.golden"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(golden) {
		t.Errorf("the metrics differ from %s; dashboards depend on them; if that is meant, run the test with -update. Got:\n%s", file, b.String())
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
	if m.requests.of(1, stream.RoleClient).duration != m.requests.of(2, stream.RoleClient).duration {
		t.Error("types with one name do not share their series")
	}
}

// Every metric after real traffic of both roles.
func TestValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clientSide, clientReg := mustNew(t, Options{Types: typeNames})
		serverSide, serverReg := mustNew(t, Options{Types: typeNames})
		release := make(chan struct{})
		p := connect(t,
			stream.Options{Observer: clientSide, Channels: map[uint64]stream.Handler{5: nil}},
			stream.Options{Observer: serverSide, Handler: testMux(release), MaxHandlers: 2})
		ctx := t.Context()
		for range 3 {
			_ = p.ask(ctx, stream.Request{Type: typeEcho, Payload: make([]byte, 10)})
		}
		_ = p.ask(ctx, stream.Request{Type: typeFail})
		_ = p.ask(ctx, stream.Request{Type: typePanic})
		_ = p.ask(ctx, stream.Request{Type: typeRefuse})
		_ = p.ask(ctx, stream.Request{Type: 99})
		_ = p.ask(ctx, stream.Request{Type: typeEcho, Channel: 5}) // which the server has not opened
		_ = p.ask(ctx, stream.Request{Type: typeEcho, Channel: 6}) // nor has the client
		expiring, cancel := context.WithTimeout(ctx, time.Second)
		_ = p.ask(expiring, stream.Request{Type: typeWait}) // takes the first handler
		cancel()
		pending, err := p.client.Submit(ctx, stream.Request{Type: typeWait}) // the second
		if err != nil {
			t.Fatal(err)
		}
		queued, err := p.client.Submit(ctx, stream.Request{Type: typeEcho, Payload: make([]byte, 7)}) // waits for one
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()

		client := map[string]float64{
			`requests_total{outcome="ok",role="client",type="Echo"}`:         3,
			`requests_total{outcome="rejected",role="client",type="Echo"}`:   1,
			`requests_total{outcome="refused",role="client",type="Echo"}`:    1,
			`requests_total{outcome="rejected",role="client",type="Fail"}`:   1,
			`requests_total{outcome="rejected",role="client",type="Panic"}`:  1,
			`requests_total{outcome="rejected",role="client",type="Refuse"}`: 1,
			`requests_total{outcome="rejected",role="client",type="other"}`:  1,
			`requests_total{outcome="deadline",role="client",type="Wait"}`:   1,
			`request_duration_seconds{role="client",type="Echo"}`:            5,
			`request_duration_seconds{role="client",type="Fail"}`:            1,
			`request_duration_seconds{role="client",type="Panic"}`:           1,
			`request_duration_seconds{role="client",type="Refuse"}`:          1,
			`request_duration_seconds{role="client",type="other"}`:           1,
			`request_duration_seconds{role="client",type="Wait"}`:            1,
			`requests_in_flight{role="client"}`:                              3, // the expired one too
			`connections_opened_total{}`:                                     1,
			`connections_open{}`:                                             1,
			`packets_total{direction="sent"}`:                                11,
			`packets_total{direction="received"}`:                            8,
			`packet_bytes_total{direction="sent"}`:                           float64(p.wire.wrote.Load()),
			`packet_bytes_total{direction="received"}`:                       float64(p.wire.read.Load()),
		}
		want(t, clientReg, client)
		server := map[string]float64{
			`requests_total{outcome="ok",role="server",type="Echo"}`:         3,
			`requests_total{outcome="rejected",role="server",type="Echo"}`:   1,
			`requests_total{outcome="rejected",role="server",type="Fail"}`:   1,
			`requests_total{outcome="rejected",role="server",type="Panic"}`:  1,
			`requests_total{outcome="rejected",role="server",type="Refuse"}`: 1,
			`requests_total{outcome="rejected",role="server",type="other"}`:  1,
			`request_duration_seconds{role="server",type="Echo"}`:            3, // rejected before it began: none
			`request_duration_seconds{role="server",type="Fail"}`:            1,
			`request_duration_seconds{role="server",type="Panic"}`:           1,
			`request_duration_seconds{role="server",type="Refuse"}`:          1,
			`request_duration_seconds{role="server",type="other"}`:           1,
			`requests_rejected_total{reason="handler_error"}`:                2,
			`requests_rejected_total{reason="panic"}`:                        1,
			`requests_rejected_total{reason="unknown_type"}`:                 1,
			`requests_rejected_total{reason="unknown_channel"}`:              1,
			`handler_panics_total{}`:                                         1,
			`requests_in_flight{role="server"}`:                              3,
			`requests_queued{}`:                                              1,
			`request_payload_bytes{}`:                                        7,
			`connections_opened_total{}`:                                     1,
			`connections_open{}`:                                             1,
			`packets_total{direction="received"}`:                            11,
			`packets_total{direction="sent"}`:                                8,
			`packet_bytes_total{direction="received"}`:                       float64(p.wire.wrote.Load()),
			`packet_bytes_total{direction="sent"}`:                           float64(p.wire.read.Load()),
		}
		want(t, serverReg, server)

		close(release) // the late answer, and two that are waited for
		for _, c := range []*stream.Call{pending, queued} {
			if _, err := c.Wait(ctx); err != nil {
				t.Fatal(err)
			}
		}
		go p.server.Shutdown(ctx)
		if err := p.client.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		change := func(m map[string]float64, to map[string]float64) {
			for name, value := range to {
				m[name] = value
			}
		}
		change(client, map[string]float64{
			`requests_total{outcome="ok",role="client",type="Echo"}`: 4,
			`requests_total{outcome="ok",role="client",type="Wait"}`: 1,
			`request_duration_seconds{role="client",type="Echo"}`:    6,
			`request_duration_seconds{role="client",type="Wait"}`:    2,
			`responses_dropped_total{reason="late"}`:                 1,
			`requests_in_flight{role="client"}`:                      0,
			`connections_open{}`:                                     0,
			`connections_closed_total{reason="shutdown"}`:            1,
			`packets_total{direction="sent"}`:                        13, // with ERQ and EOF
			`packets_total{direction="received"}`:                    13,
			`packet_bytes_total{direction="sent"}`:                   float64(p.wire.wrote.Load()),
			`packet_bytes_total{direction="received"}`:               float64(p.wire.read.Load()),
		})
		want(t, clientReg, client)
		change(server, map[string]float64{
			`requests_total{outcome="ok",role="server",type="Echo"}`: 4,
			`requests_total{outcome="ok",role="server",type="Wait"}`: 2,
			`request_duration_seconds{role="server",type="Echo"}`:    4,
			`request_duration_seconds{role="server",type="Wait"}`:    2,
			`requests_in_flight{role="server"}`:                      0,
			`requests_queued{}`:                                      0,
			`request_payload_bytes{}`:                                0,
			`connections_open{}`:                                     0,
			`connections_closed_total{reason="shutdown"}`:            1,
			`packets_total{direction="sent"}`:                        13,
			`packets_total{direction="received"}`:                    13,
			`packet_bytes_total{direction="sent"}`:                   float64(p.wire.read.Load()),
			`packet_bytes_total{direction="received"}`:               float64(p.wire.wrote.Load()),
		})
		want(t, serverReg, server)
	})
}

// A response that answers nothing, a stream that ends inside a packet, bytes
// that wait to be sent, and requests that are never answered.
func TestValuesOfBrokenPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, reg := mustNew(t, Options{Types: typeNames})
		mine, peers := net.Pipe()
		release := make(chan struct{})
		c, err := stream.NewConn(mine, stream.Options{Observer: m, Handler: testMux(release)})
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := stream.Packet{Kind: stream.KindResponse, OK: true, Tag: 77}.AppendBinary(nil)
		raw, _ = stream.Packet{Kind: stream.KindRequest, Tag: 2, Type: typeWait}.AppendBinary(raw)
		raw, _ = stream.Packet{Kind: stream.KindRequest, Tag: 3, Type: typeEcho, Payload: make([]byte, 100)}.AppendBinary(raw)
		whole := len(raw)
		raw = append(raw, 9, 4) // seven bytes of this one are missing
		if _, err := peers.Write(raw); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		got := samples(t, reg)
		if queued := got["send_queue_bytes{}"]; queued < 100 || queued > 110 {
			t.Errorf("send_queue_bytes is %v, want the 100 bytes that the peer does not read, and a header", queued)
		}
		peers.Close()
		synctest.Wait() // the write fails with the closed pipe
		want(t, reg, map[string]float64{
			`requests_total{outcome="ok",role="server",type="Echo"}`:         1,
			`request_duration_seconds{role="server",type="Echo"}`:            1,
			`responses_dropped_total{reason="unknown"}`:                      1,
			`requests_unanswered_total{}`:                                    1,
			`connections_opened_total{}`:                                     1,
			`connections_closed_total{reason="` + c.Reason().String() + `"}`: 1,
			`packets_total{direction="received"}`:                            3,
			`packets_total{direction="sent"}`:                                float64(c.Stats().PacketsSent),
			`packet_bytes_total{direction="sent"}`:                           float64(c.Stats().BytesSent),
			`packet_bytes_total{direction="received"}`:                       float64(whole),
		})
		close(release)
		synctest.Wait()
		if got := samples(t, reg)[`requests_total{outcome="lost",role="server",type="Wait"}`]; got != 1 {
			t.Errorf("%v requests lost, want 1", got)
		}
		c.Close()
		mine.Close()
	})
}

// A peer that never reads makes this side pause.
func TestPausedReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, reg := mustNew(t, Options{})
		release := make(chan struct{})
		p := connect(t, stream.Options{}, stream.Options{Observer: m, Handler: testMux(release), MaxHandlers: 1, MaxQueued: 1})
		for range 4 {
			if _, err := p.client.Submit(t.Context(), stream.Request{Type: typeWait}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if got := samples(t, reg); got["readers_paused{}"] != 1 || got["requests_queued{}"] != 1 {
			t.Errorf("paused %v, queued %v, want 1 and 1", got["readers_paused{}"], got["requests_queued{}"])
		}
		close(release)
		synctest.Wait()
		if got := samples(t, reg)["readers_paused{}"]; got != 0 {
			t.Errorf("paused %v after the queue was served, want 0", got)
		}
	})
}

// Whatever a peer sends, there are no new series.
func TestHostilePeerMakesNoSeries(t *testing.T) {
	m, reg := mustNew(t, Options{Types: typeNames})
	names := func() []string {
		var list []string
		for name := range samples(t, reg) {
			list = append(list, name)
		}
		slices.Sort(list)
		return list
	}
	before := names()
	synctest.Test(t, func(t *testing.T) {
		for i := range uint64(20) {
			name := fmt.Sprintf("hostile-%d", i)
			p := connect(t,
				stream.Options{Name: name, Channels: map[uint64]stream.Handler{1000 + i: nil}},
				stream.Options{Name: name, Observer: m, Handler: testMux(nil)})
			for k := range uint64(200) {
				req := stream.Request{Type: 1000 + i*200 + k, Flags: k, Label: fmt.Sprint(i, k), Payload: []byte(name)}
				if k%2 == 1 {
					req.Channel = 1000 + i
				}
				if err := p.ask(t.Context(), req); err == nil {
					t.Fatal("an unknown type was answered ok")
				}
			}
			p.client.Close()
			p.server.Close()
		}
	})
	if after := names(); !slices.Equal(before, after) {
		t.Errorf("%d series before, %d after", len(before), len(after))
	}
	got := samples(t, reg)
	if n := got[`requests_total{outcome="rejected",role="server",type="other"}`]; n != 4000 {
		t.Errorf("%v requests of the type other, want 4000", n)
	}
}

type traceKey struct{}

func traceOf(ctx context.Context) (string, bool) {
	id, ok := ctx.Value(traceKey{}).(string)
	return id, ok
}

func TestExemplars(t *testing.T) {
	const id = "0af7651916cd43dd8448eb211c80319c"
	tests := []struct {
		name  string
		trace string
		want  bool
	}{
		{"sampled", id, true},
		{"not sampled", "", false},
		{"too long for an exemplar", strings.Repeat("x", 200), false},
		{"not a text", "\xff", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, reg := mustNew(t, Options{Types: typeNames, TraceID: traceOf})
			ctx := t.Context()
			if tt.trace != "" {
				ctx = context.WithValue(ctx, traceKey{}, tt.trace)
			}
			p := connect(t, stream.Options{Observer: m}, stream.Options{Handler: testMux(nil)})
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
		if n := testing.AllocsPerRun(1000, func() { m.Observe(ctx, e) }); n != 0 {
			t.Errorf("%v, %v: %v allocations, want 0", e.Kind, e.Outcome, n)
		}
	}
}

func BenchmarkObserveCallDone(b *testing.B) {
	m, _ := mustNew(b, Options{Types: typeNames})
	e := stream.Event{Kind: stream.EventCallDone, Outcome: stream.OutcomeOK, Duration: 37 * time.Microsecond}
	b.ReportAllocs()
	for b.Loop() {
		m.Observe(b.Context(), e)
	}
}
