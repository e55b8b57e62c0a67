package server

import (
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/zap"
)

// Failures to accept are waited out, longer each time, and do not end the loop.
func TestAcceptBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &PacketServer{
			sampled:       zap.NewNop(),
			counters:      &counters{acceptErrors: prometheus.NewCounter(prometheus.CounterOpts{Name: "errors"})},
			stopAccepting: make(chan struct{}),
		}
		var at []time.Duration
		began := time.Now()
		p.acceptLoop(&listener{accept: func() (link, error) {
			at = append(at, time.Since(began))
			if len(at) > 12 {
				return link{}, net.ErrClosed
			}
			return link{}, syscall.EMFILE
		}})
		if at[1]-at[0] != minAcceptBackoff || at[2]-at[1] != 2*minAcceptBackoff {
			t.Errorf("the first waits are %v", at[:3])
		}
		if last := at[12] - at[11]; last != maxAcceptBackoff {
			t.Errorf("the last wait is %v, want %v", last, maxAcceptBackoff)
		}
		var counted dto.Metric
		if err := p.counters.acceptErrors.Write(&counted); err != nil || counted.GetCounter().GetValue() != 12 {
			t.Errorf("%v errors were counted, want 12 (%v)", counted.GetCounter().GetValue(), err)
		}
	})
}

// A server that stops does not wait for the back-off.
func TestAcceptBackOffEndsAtStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &PacketServer{
			sampled:       zap.NewNop(),
			counters:      &counters{acceptErrors: prometheus.NewCounter(prometheus.CounterOpts{Name: "errors"})},
			stopAccepting: make(chan struct{}),
		}
		close(p.stopAccepting)
		began := time.Now()
		for range 3 {
			p.acceptLoop(&listener{accept: func() (link, error) { return link{}, syscall.EMFILE }})
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}
