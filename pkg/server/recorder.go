package server

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/pktsvc/pktsvc/pkg/flight"
	"github.com/pktsvc/pktsvc/pkg/metrics"
	"github.com/pktsvc/pktsvc/pkg/stream"
	"github.com/pktsvc/pktsvc/pkg/tracing"
)

type recorderParams struct {
	fx.In

	Config   frozen
	Log      *zap.Logger
	Registry *prometheus.Registry
	Services services
	Provider *tracing.Provider
	Tracing  *tracing.Observer
	Metrics  *metrics.Observer
	Life     fx.Lifecycle
}

func newRecorder(in recorderParams) (*flight.Recorder, error) {
	c := in.Config.Recorder
	slow, err := slowTypes(c.SlowTypes, in.Services)
	if err != nil {
		return nil, err
	}
	o := flight.Options{
		Records: c.Records, Notable: c.Notable, Slow: never(c.Slow), SlowTypes: slow,
		Types: in.Services.names(), Channels: in.Services.ofChannels(),
		ShowPayloads: c.Payloads,
		Notify:       notifier{in.Log.Named("recorder"), in.Tracing, in.Metrics, in.Services.naming()}.notify,
	}
	if in.Provider.Enabled() {
		o.TraceID = tracing.TraceID
	}
	r, err := flight.New(o)
	if err != nil {
		return nil, err
	}
	if c.Adaptive {
		learn(r, in.Life)
	}
	return r, in.Registry.Register(recorderCounters{r})
}

// learnInterval is how often thresholds are learned.
const learnInterval = 5 * time.Second

// learn has the recorder learn what is slow, from time to time.
func learn(r *flight.Recorder, life fx.Lifecycle) {
	done := make(chan struct{})
	ctx, stop := context.WithCancel(context.Background())
	life.Append(fx.StartStopHook(
		func() {
			go func() {
				defer close(done)
				tick := time.NewTicker(learnInterval)
				defer tick.Stop()
				for {
					select {
					case <-tick.C:
						r.Learn()
					case <-ctx.Done():
						return
					}
				}
			}()
		},
		func() {
			stop()
			<-done
		},
	))
}

// never turns the 0 of a configuration, which is none, into that of the recorder.
func never(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// slowTypes reads the settings of the form NAME=DURATION.
func slowTypes(list []string, services services) (map[uint64]time.Duration, error) {
	slow := make(map[uint64]time.Duration)
	for _, text := range list {
		name, d, err := slowType(text)
		if err != nil {
			return nil, &ConfigError{Key: "recorder.slow_types", Value: text, Allowed: slowTypeForm}
		}
		_, typ, found := services.find(name)
		slow[typ] = never(d)
		if !found {
			return nil, &ConfigError{Key: "recorder.slow_types", Value: text, Allowed: "the name of a request type before the ="}
		}
	}
	return slow, nil
}

const slowTypeForm = "NAME=DURATION, such as Sleep=10s"

func slowType(text string) (name string, d time.Duration, err error) {
	name, rest, ok := strings.Cut(text, "=")
	if !ok {
		return "", 0, fmt.Errorf("there is no =")
	}
	d, err = time.ParseDuration(rest)
	if err == nil && d < 0 {
		err = fmt.Errorf("it is negative")
	}
	return name, d, err
}

// notifier tells the other observers of notable requests.
type notifier struct {
	log     *zap.Logger
	tracing *tracing.Observer
	metrics *metrics.Observer

	names naming
}

// notify exports the span of a notable request that has none, makes its trace an exemplar,
// and logs it if a rule asks for that.
func (l notifier) notify(n *flight.Notable) (traceID string) {
	end, logged := n.End(), false
	spanned := n.Slow() || n.Outcome() != stream.OutcomeOK // these have one in any case
	for _, rule := range n.Rules() {
		logged = logged || rule.Log
		spanned = spanned || rule.Span
	}
	if !n.Sampled && spanned {
		traceID = l.tracing.Export(tracing.Ended{
			Conn: n.Conn(), Role: n.Role(), End: *end, Outcome: n.Outcome(), Rejection: n.Rejection(),
			Err: n.Err, Because: n.Because(),
		})
	}
	if logged {
		fields := []zap.Field{
			zap.String("conn", n.Conn().Name), zap.Uint64("channel", end.Channel), zap.Uint64("tag", end.Tag),
			zap.Uint64("type", end.Type), zap.String("role", n.Role().String()), zap.String("outcome", n.Outcome().String()),
			zap.Duration("duration", end.Duration), zap.String("because", n.Because()), zap.Error(n.Err),
		}
		if name := l.names.of(end.Channel, end.Type); name != "" {
			fields = append(fields, zap.String("method", name))
		}
		if n.Payload() != "" {
			fields = append(fields, zap.String("payload", n.Payload()))
		}
		if traceID != "" {
			fields = append(fields, zap.String("trace_id", traceID))
		}
		l.log.Info("request matched", fields...)
	}
	if traceID != "" {
		l.metrics.Exemplar(n.Role(), end, traceID)
	}
	return traceID
}

var (
	recordedDesc = prometheus.NewDesc("pktsvc_recorder_requests_total",
		"Requests of both roles that the flight recorder has seen end.", nil, nil)
	notableDesc = prometheus.NewDesc("pktsvc_recorder_notable_total",
		"Requests that were notable: kept for longer, or left out since there were too many at a time.", []string{"result"}, nil)
)

// recorderCounters shows what the recorder has done.
type recorderCounters struct{ recorder *flight.Recorder }

func (recorderCounters) Describe(ch chan<- *prometheus.Desc) {
	ch <- recordedDesc
	ch <- notableDesc
}

func (c recorderCounters) Collect(ch chan<- prometheus.Metric) {
	s := c.recorder.Stats()
	ch <- prometheus.MustNewConstMetric(recordedDesc, prometheus.CounterValue, float64(s.Recorded))
	ch <- prometheus.MustNewConstMetric(notableDesc, prometheus.CounterValue, float64(s.Notable-s.Suppressed), "kept")
	ch <- prometheus.MustNewConstMetric(notableDesc, prometheus.CounterValue, float64(s.Suppressed), "suppressed")
}
