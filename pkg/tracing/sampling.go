package tracing

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// decision is what the sampler said about a request that is recorded, before a span
// exists. It travels to the SDK in the context with which the span is started, and in
// no other, so that the sampler is asked once and about the trace that the span becomes
// part of.
type decision struct {
	traceID trace.TraceID
	spanID  trace.SpanID
	root    bool // traceID is a new one, else that of a parent

	said *sdktrace.SamplingResult // nil: to record and sample it, and nothing else
}

func (d *decision) result() sdktrace.SamplingResult {
	if d.said == nil {
		return sdktrace.SamplingResult{Decision: sdktrace.RecordAndSample}
	}
	return *d.said
}

type decisionKey struct{}

func decided(ctx context.Context) *decision {
	d, _ := ctx.Value(decisionKey{}).(*decision)
	return d
}

// parentOf is the span in whose trace a request belongs, or nil.
func parentOf(ctx context.Context) trace.Span {
	if parent, _ := ctx.Value(spanKey).(trace.Span); parent != nil && parent.SpanContext().HasTraceID() {
		return parent
	}
	return nil
}

// decide asks the sampler about a request that may be recorded.
func (p *Provider) decide(ctx context.Context, m *method, role stream.Role, e *stream.Event) (d decision, recorded bool) {
	parent := parentOf(ctx)
	d = decision{root: parent == nil, spanID: newSpanID()}
	switch {
	case !d.root:
		d.traceID = parent.SpanContext().TraceID()
	case role == stream.RoleServer:
		d.traceID = p.traceID(e.Conn.Info(), stream.RoleServer, e.Packet.Channel, e.Packet.Tag)
	case p.share != nil:
		d.traceID = traceIDOf(rand.Uint64(), p.share.draw())
	default:
		d.traceID = newTraceID()
	}
	if d.root && p.share != nil { // which has chosen it
		return d, true
	}
	said := p.sampler.ShouldSample(sdktrace.SamplingParameters{
		ParentContext: ctx, TraceID: d.traceID, Name: m.name, Kind: kindOf(role), Attributes: m.attrs,
	})
	if said.Decision == sdktrace.Drop {
		return d, false
	}
	kept := said // said itself stays on the stack
	d.said = &kept
	return d, true
}

// ratio is a sampler of a share of the traces that begin here. What it says about them
// can be known without asking it.
type ratio struct {
	sdktrace.Sampler
	below uint64
	left  float64 // logarithm of the share that is left out
}

// Ratio returns a sampler that follows the parent of a request, and samples a share,
// from 0 to 1, of those without one. It does what ParentBased and TraceIDRatioBased of
// the SDK do together; but the requests that it leaves out cost less.
func Ratio(share float64) sdktrace.Sampler {
	return newRatio(share, sdktrace.ParentBased(sdktrace.TraceIDRatioBased(share)))
}

func newRatio(share float64, s sdktrace.Sampler) *ratio {
	below := uint64(min(max(share, 0), 1) * (1 << 63))
	return &ratio{s, below, math.Log1p(-float64(below) / (1 << 63))} // Log1p is exact where hardly any are kept
}

// keeps says whether a trace is sampled that has no parent and this lower half of an
// identity. It is what the sampler of the SDK does.
func keeps(low, below uint64) bool { return low>>1 < below }

// draw returns the lower half of an identity that it keeps. There is one.
func (r *ratio) draw() uint64 { return rand.Uint64N(r.below)<<1 | 1 }

// drawGap returns how many traces it does not keep until one that it does.
func (r *ratio) drawGap() uint64 {
	gap := math.Log(1-rand.Float64()) / r.left // of a number above 0
	if !(gap < 1<<63) {                        // also where none are kept
		return 1 << 63
	}
	return uint64(gap)
}

// decidedSampler is the sampler of the SDK: it repeats what was decided, and
// asks for spans that are not of requests.
type decidedSampler struct{ sdktrace.Sampler }

func (s decidedSampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	if d := decided(p.ParentContext); d != nil {
		return d.result()
	}
	return s.Sampler.ShouldSample(p)
}

// idGenerator gives new traces the identity about which was decided.
type idGenerator struct{}

func (g idGenerator) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if d := decided(ctx); d != nil {
		return d.traceID, d.spanID
	}
	return newTraceID(), newSpanID()
}

func (g idGenerator) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	if d := decided(ctx); d != nil {
		return d.spanID
	}
	return newSpanID()
}

func newTraceID() trace.TraceID { return traceIDOf(rand.Uint64(), rand.Uint64()) }

func traceIDOf(high, low uint64) (id trace.TraceID) {
	binary.BigEndian.PutUint64(id[:8], high)
	binary.BigEndian.PutUint64(id[8:], low|1) // never all zero; samplers drop the lowest bit
	return id
}

func newSpanID() (id trace.SpanID) {
	for !id.IsValid() {
		binary.BigEndian.PutUint64(id[:], rand.Uint64())
	}
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
		share, err := samplerRatio(getenv)
		if followsParent {
			return Ratio(share), err
		}
		return newRatio(share, sdktrace.TraceIDRatioBased(share)), err
	}
	if root == nil {
		return nil, fmt.Errorf("%s=%q is not supported, want always_on, always_off, traceidratio, or one of them after parentbased_; parentbased_always_on is used", envSampler, name)
	}
	if followsParent {
		root = sdktrace.ParentBased(root)
	}
	return root, nil
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
