package tracing

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// heldExporter holds back every batch until release is closed, and then returns err.
type heldExporter struct {
	release chan struct{}
	err     error
	taken   int
}

func (e *heldExporter) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	<-e.release
	e.taken += len(spans)
	return e.err
}

func (*heldExporter) Shutdown(context.Context) error { return nil }

// Every span that ends is exported or counted as lost, whatever the exporter does.
func TestSpansAreCounted(t *testing.T) {
	const ended, queue = 100, 10
	tests := []struct {
		name string
		err  error
		want SpanStats
	}{
		{"slow exporter", nil, SpanStats{Exported: queue, QueueFull: ended - queue}},
		{"failing exporter", errors.New("no backend"), SpanStats{ExportFailed: queue, QueueFull: ended - queue}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			setEnvironment(t, map[string]string{"OTEL_BSP_MAX_QUEUE_SIZE": "10", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4"})
			held := &heldExporter{release: make(chan struct{}), err: tt.err}
			p, err := NewProvider(t.Context(), ProviderOptions{Mode: On, Exporter: held})
			if err != nil {
				t.Fatal(err)
			}
			tracer := p.Tracer("test")
			for range ended {
				_, span := tracer.Start(t.Context(), "span")
				span.End()
			}
			close(held.release)
			_ = p.Shutdown(t.Context()) // says what the last batch met
			if got := p.Spans(); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
			if held.taken != queue {
				t.Errorf("the exporter was given %d spans, want %d", held.taken, queue)
			}
		})
	}
	if got := new(Provider).Spans(); got != (SpanStats{}) {
		t.Errorf("not enabled: %+v", got)
	}
}

// Spans are gathered no longer than the queue has room for: a batch leaves when it is full.
func TestSmallQueueLosesNothingInTime(t *testing.T) {
	setEnvironment(t, map[string]string{"OTEL_BSP_MAX_QUEUE_SIZE": "10", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4"})
	synctest.Test(t, func(t *testing.T) {
		p, _ := mustProvider(t, ProviderOptions{})
		tracer := p.Tracer("test")
		for range 10 {
			for range 4 {
				_, span := tracer.Start(t.Context(), "span")
				span.End()
			}
			synctest.Wait()
		}
		if got, want := p.Spans(), (SpanStats{Exported: 40}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}

// Few spans are handed on after a while, many at once.
func TestGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var handed atomic.Int64
		g := gather{most: 5, to: func(sdktrace.ReadOnlySpan) { handed.Add(1) }}
		check := func(want int64) {
			t.Helper()
			synctest.Wait()
			if got := handed.Load(); got != want {
				t.Errorf("%d handed on, want %d", got, want)
			}
		}
		g.add(nil)
		time.Sleep(gatherDelay - 1)
		check(0)
		time.Sleep(time.Nanosecond)
		check(1)
		for range 4 {
			g.add(nil)
		}
		check(1)
		g.add(nil)
		check(6)
		g.add(nil)
		g.close()
		check(7)
		g.add(nil)
		check(8)
	})
}

// The SDK by itself panics on these.
func TestWrongSizesAreIgnored(t *testing.T) {
	setEnvironment(t, map[string]string{"OTEL_BSP_MAX_QUEUE_SIZE": "-1", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "-1"})
	held := &heldExporter{release: make(chan struct{})}
	close(held.release)
	p, err := NewProvider(t.Context(), ProviderOptions{Mode: On, Exporter: held})
	if err != nil {
		t.Fatal(err)
	}
	_, span := p.Tracer("test").Start(t.Context(), "span")
	span.End()
	if err := p.Shutdown(t.Context()); err != nil || p.Spans() != (SpanStats{Exported: 1}) {
		t.Errorf("%v, %+v", err, p.Spans())
	}
}
