package instrument

import (
	"context"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// All names that appear in spans, but for those of the spans themselves.
const (
	scopeName = "github.com/pktsvc/pktsvc/pkg/store/instrument"
	schemaURL = semconv.SchemaURL

	keyCode    = attribute.Key("pktsvc.store.code")
	keyArchive = attribute.Key("pktsvc.store.archive")
	keySize    = attribute.Key("pktsvc.store.size")  // bytes of a block or of entries
	keyCount   = attribute.Key("pktsvc.store.count") // of hash codes or entries
	keyResult  = attribute.Key("pktsvc.store.result")

	keyErrorType = semconv.ErrorTypeKey
)

// traceOf is the trace of the span in ctx.
func traceOf(ctx context.Context) (traceID string, sampled bool) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return "", false
	}
	if s := span.SpanContext(); s.IsSampled() {
		return s.TraceID().String(), true
	}
	return "", false
}

// about notes the block that the call is about.
func (c *call) about(code store.Code) {
	if c.span != nil {
		c.span.SetAttributes(keyCode.String(code.String()))
	}
}

// in notes the archive that the call is about.
func (c *call) in(name store.ArchiveName) {
	if c.span != nil {
		c.span.SetAttributes(keyArchive.String(clean(string(name))))
	}
}

// number notes a size or a count.
func (c *call) number(key attribute.Key, n int) {
	if c.span != nil {
		c.span.SetAttributes(key.Int(n))
	}
}

// endSpan ends the span. That the caller has gone is not the store's error.
func (c *call) endSpan(err error, kind int, result string, at time.Time) {
	if kind != kindNone {
		result = kindNames[kind]
		c.span.SetAttributes(keyErrorType.String(result))
		if kind != kindCanceled {
			c.span.SetStatus(codes.Error, clean(err.Error()))
		}
	}
	c.span.SetAttributes(keyResult.String(result))
	c.span.End(trace.WithTimestamp(at))
}

// maxText bounds the texts in a span that backends or peers choose, in bytes.
const maxText = 512

// clean makes a text fit for export: one that is not UTF-8 makes an exporter
// give up the whole batch.
func clean(s string) string {
	if len(s) > maxText {
		s = s[:maxText] + "..."
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
