package metrics

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Where the time of answered requests went, on both sides; of others it is not told.
func TestStages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const typ = 1
		mux := new(stream.Mux)
		mux.HandleFunc(typ, "Sleep", func(ctx context.Context, _ stream.Request) (stream.Response, error) {
			time.Sleep(2 * time.Second)
			return stream.Response{}, nil
		})
		mux.HandleFunc(2, "Decline", func(context.Context, stream.Request) (stream.Response, error) {
			time.Sleep(time.Second)
			return stream.Response{}, &stream.Rejection{}
		})
		observed := func() (*Observer, *prometheus.Registry) {
			reg := prometheus.NewPedanticRegistry()
			m, err := New(reg, Options{Types: mux.Names()})
			if err != nil {
				t.Fatal(err)
			}
			return m, reg
		}
		client, clientReg := observed()
		server, serverReg := observed()
		p := connect(t, stream.Options{Observer: client, MaxInFlight: 2}, stream.Options{Observer: server, Handler: mux, MaxHandlers: 1})
		for range 4 {
			go func() { _ = p.ask(t.Context(), stream.Request{Type: typ}) }()
		}
		synctest.Wait()
		time.Sleep(time.Minute)
		_ = p.ask(t.Context(), stream.Request{Type: 2})
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_ = p.ask(short, stream.Request{Type: typ}) // the server answers it, for nothing
		time.Sleep(time.Minute)
		// Each serves one at a time: the peer sees the second wait for the first, and the
		// third and fourth wait here for their turn until an answer has come.
		wantStages(t, clientReg, map[string]float64{
			`request_stage_seconds_total{role="client",stage="queue",type="Sleep"}`:  2 + 4,
			`request_stage_seconds_total{role="client",stage="peer",type="Sleep"}`:   2 + 4 + 4 + 4,
			`request_stage_seconds_total{role="client",stage="peer",type="Decline"}`: 1,
		})
		wantStages(t, serverReg, map[string]float64{
			`request_stage_seconds_total{role="server",stage="queue",type="Sleep"}`:     2 + 2 + 2,
			`request_stage_seconds_total{role="server",stage="handler",type="Sleep"}`:   5 * 2,
			`request_stage_seconds_total{role="server",stage="handler",type="Decline"}`: 1,
		})
	})
}

func wantStages(t *testing.T, g prometheus.Gatherer, expected map[string]float64) {
	t.Helper()
	got := samples(t, g)
	for name, value := range got {
		if strings.HasPrefix(name, "request_stage_seconds_total") && value != expected[name] {
			t.Errorf("%s is %v, want %v", name, value, expected[name])
		}
	}
	for name := range expected {
		if _, exists := got[name]; !exists {
			t.Errorf("there is no series %s", name)
		}
	}
}
