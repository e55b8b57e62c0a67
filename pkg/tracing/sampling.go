package tracing

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"strconv"
	"strings"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// decision is what the sampler said about a request, before a span exists. It
// travels to the SDK in the context with which the span is started, and in no
// other, so that the sampler is asked once and about the trace that the span
// becomes part of.
type decision struct {
	parent  trace.SpanContext
	traceID trace.TraceID // the parent's, or a new one
	result  sdktrace.SamplingResult
}

type decisionKey struct{}

func decided(ctx context.Context) *decision {
	d, _ := ctx.Value(decisionKey{}).(*decision)
	return d
}

// decide asks the sampler about a request.
func (p *Provider) decide(ctx context.Context, m *method, kind trace.SpanKind, e *stream.Event) decision {
	d := decision{parent: trace.SpanContextFromContext(ctx)}
	switch {
	case d.parent.HasTraceID():
		d.traceID = d.parent.TraceID()
	case kind == trace.SpanKindServer:
		d.traceID = p.traceID(e.Conn, e.Packet.Channel, e.Packet.Tag)
	default:
		d.traceID = newTraceID() // a call has no tag yet
	}
	d.result = p.sampler.ShouldSample(sdktrace.SamplingParameters{
		ParentContext: ctx, TraceID: d.traceID, Name: m.name, Kind: kind, Attributes: m.attrs,
	})
	return d
}

// decidedSampler is the sampler of the SDK: it repeats what was decided, and
// asks for spans that are not of requests.
type decidedSampler struct{ sdktrace.Sampler }

func (s decidedSampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	if d := decided(p.ParentContext); d != nil {
		return d.result
	}
	return s.Sampler.ShouldSample(p)
}

// idGenerator gives new traces the identity about which was decided.
type idGenerator struct{}

func (g idGenerator) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if d := decided(ctx); d != nil {
		return d.traceID, newSpanID()
	}
	return newTraceID(), newSpanID()
}

func (g idGenerator) NewSpanID(context.Context, trace.TraceID) trace.SpanID { return newSpanID() }

func newTraceID() (id trace.TraceID) {
	binary.BigEndian.PutUint64(id[:8], rand.Uint64())
	binary.BigEndian.PutUint64(id[8:], rand.Uint64()|1) // never all zero; samplers drop the lowest bit
	return id
}

func newSpanID() (id trace.SpanID) {
	for !id.IsValid() {
		binary.BigEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}

// traceID is that of a request of a peer, as long as it has no parent: the same
// whenever it is asked for, so that nobody has to keep it.
func (p *Provider) traceID(conn *stream.Conn, channel, tag uint64) (id trace.TraceID) {
	request := struct {
		conn         *stream.Conn
		opened       int64 // an address may be used again
		channel, tag uint64
	}{conn, conn.Opened().UnixNano(), channel, tag}
	binary.BigEndian.PutUint64(id[:8], maphash.Comparable(p.seeds[0], request))
	binary.BigEndian.PutUint64(id[8:], maphash.Comparable(p.seeds[1], request)|1) // as in newTraceID
	return id
}

// unsampled stands for the span of a request that is not recorded.
type unsampled struct {
	noop.Span
	traceID trace.TraceID
}

func (s *unsampled) SpanContext() trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: s.traceID, SpanID: trace.SpanID(s.traceID[8:])})
}

// spanKey is the key under which contexts have their spans. The API keeps it to
// itself, but looks it up.
var spanKey = func() any {
	var seen keySeen
	_ = trace.SpanFromContext(&seen)
	return seen.key
}()

// keySeen is a context that notes for what it is asked.
type keySeen struct {
	context.Context
	key any
}

func (k *keySeen) Value(key any) any { k.key = key; return nil }

const (
	envSampler    = "OTEL_TRACES_SAMPLER"
	envSamplerArg = "OTEL_TRACES_SAMPLER_ARG"
)

// environmentSampler reads the sampler from the environment; nil if none is
// named there. The SDK reads the same variables, but tells nobody the result.
func environmentSampler(getenv func(string) string) (sdktrace.Sampler, error) {
	name := strings.ToLower(strings.TrimSpace(getenv(envSampler)))
	bare, followsParent := strings.CutPrefix(name, "parentbased_")
	var root sdktrace.Sampler
	var err error
	switch bare {
	case "":
		if !followsParent {
			return nil, nil
		}
	case "always_on":
		root = sdktrace.AlwaysSample()
	case "always_off":
		root = sdktrace.NeverSample()
	case "traceidratio":
		var ratio float64
		ratio, err = samplerRatio(getenv)
		root = sdktrace.TraceIDRatioBased(ratio)
	}
	if root == nil {
		return nil, fmt.Errorf("%s=%q is not supported, want always_on, always_off, traceidratio, or one of them after parentbased_; parentbased_always_on is used", envSampler, name)
	}
	if followsParent {
		root = sdktrace.ParentBased(root)
	}
	return root, err
}

func samplerRatio(getenv func(string) string) (float64, error) {
	text := strings.TrimSpace(getenv(envSamplerArg))
	if text == "" {
		return 1, nil
	}
	ratio, err := strconv.ParseFloat(text, 64)
	if err == nil && !(ratio >= 0 && ratio <= 1) {
		err = errors.New("out of range")
	}
	if err != nil {
		return 1, fmt.Errorf("%s=%q: want a number from 0 to 1; 1 is used: %w", envSamplerArg, text, err)
	}
	return ratio, nil
}
