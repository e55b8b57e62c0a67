package logging

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// requestDone writes about a request of the peer that has its outcome.
func (l *Observer) requestDone(ctx context.Context, e *stream.Event) {
	if p, panicked := errors.AsType[*stream.PanicError](e.Err); panicked {
		l.request(ctx, e, zapcore.ErrorLevel, "handler panicked", zap.ByteString("stack", p.Stack))
		return
	}
	switch e.Outcome {
	case stream.OutcomeOK:
		if l.isSlow(e.Duration) {
			l.request(ctx, e, zapcore.WarnLevel, "slow request")
		} else {
			l.request(ctx, e, zapcore.DebugLevel, "request served")
		}
	case stream.OutcomeLost:
		l.request(ctx, e, zapcore.InfoLevel, "request lost")
	default:
		level, message := blame(e)
		l.request(ctx, e, level, message)
	}
}

// blame tells rejections that this side has caused from those that the caller
// has.
func blame(e *stream.Event) (zapcore.Level, string) {
	switch e.Rejection {
	case stream.RejectBusy:
		return zapcore.WarnLevel, "request rejected, too many wait"
	case stream.RejectHandler, stream.RejectResult:
		return zapcore.ErrorLevel, "request failed"
	}
	return zapcore.InfoLevel, "request rejected"
}

// callMessages are about calls of this side, by outcome. They are constant so
// that sampling can tell them apart.
var callMessages = [stream.NumOutcomes]string{
	stream.OutcomePending:  "call pending",
	stream.OutcomeOK:       "call answered",
	stream.OutcomeRejected: "call rejected by the peer",
	stream.OutcomeCanceled: "call given up",
	stream.OutcomeDeadline: "call not answered in time",
	stream.OutcomeLost:     "call lost with its connection",
	stream.OutcomeRefused:  "call refused",
}

// callDone writes about a call of this side that has its outcome.
func (l *Observer) callDone(ctx context.Context, e *stream.Event) {
	message := callMessages[e.Outcome]
	switch e.Outcome {
	case stream.OutcomeOK:
		if l.isSlow(e.Duration) {
			l.request(ctx, e, zapcore.WarnLevel, "slow call")
		} else {
			l.request(ctx, e, zapcore.DebugLevel, message)
		}
	case stream.OutcomeDeadline, stream.OutcomeLost:
		l.request(ctx, e, zapcore.WarnLevel, message)
	default: // the caller has the error, and knows best what it means
		l.request(ctx, e, zapcore.InfoLevel, message)
	}
}

func (l *Observer) isSlow(d time.Duration) bool { return l.slow > 0 && d >= l.slow }

// request writes a line about a request, of either side, if its level is on.
func (l *Observer) request(ctx context.Context, e *stream.Event, level zapcore.Level, message string, more ...zap.Field) {
	if l.log.Core().Enabled(level) {
		l.requestLine(ctx, e, level, message, more...)
	}
}

// requestLine keeps the fields in a frame of its own: handlers' goroutines are
// young, and a large frame, even unused, makes each of them grow its stack.
//
//go:noinline
func (l *Observer) requestLine(ctx context.Context, e *stream.Event, level zapcore.Level, message string, more ...zap.Field) {
	line := l.log.Check(level, message)
	if line == nil {
		return
	}
	fields := l.requestFields(ctx, e)
	fields = append(fields, outcomeFields(e)...)
	line.Write(append(fields, more...)...)
}

// requestFields name a request.
func (l *Observer) requestFields(ctx context.Context, e *stream.Event) []zap.Field {
	p := &e.Packet
	fields := make([]zap.Field, 0, 16)
	fields = append(fields,
		zap.String("request", e.Name()), zap.String("conn", e.Conn.Name()),
		zap.Uint64("channel", p.Channel), zap.Uint64("tag", p.Tag))
	if p.Kind == stream.KindRequest {
		fields = append(fields, zap.Uint64("type", p.Type))
		types, own := l.channels[p.Channel]
		if !own {
			types = l.types
		}
		if name, known := types[p.Type]; known {
			fields = append(fields, zap.String("method", name))
		}
	}
	return append(fields, l.traceFields(ctx, e)...)
}

// traceFields name the trace of a request, if it has one.
func (l *Observer) traceFields(ctx context.Context, e *stream.Event) []zap.Field {
	if l.ids != nil {
		if traceID, spanID, sampled := l.ids(ctx); sampled {
			return []zap.Field{zap.String("trace_id", traceID), zap.String("span_id", spanID)}
		}
	}
	if l.ended != nil && e.Outcome != stream.OutcomePending {
		if traceID := l.ended(e); traceID != "" {
			return []zap.Field{zap.String("trace_id", traceID)}
		}
	}
	return nil
}

// outcomeFields are those of an event that are set.
func outcomeFields(e *stream.Event) []zap.Field {
	fields := make([]zap.Field, 0, 8)
	if e.Outcome != stream.OutcomePending {
		fields = append(fields, zap.Stringer("outcome", e.Outcome))
	}
	if e.Rejection != stream.RejectNone {
		fields = append(fields, zap.Stringer("rejection", e.Rejection))
	}
	if e.Reason != stream.ReasonNone {
		fields = append(fields, zap.Stringer("reason", e.Reason))
	}
	if e.Duration != 0 {
		fields = append(fields, zap.Duration("duration", e.Duration))
	}
	if e.Size != 0 {
		fields = append(fields, zap.Int("size", e.Size))
	}
	if e.Err != nil {
		fields = append(fields, zap.Error(e.Err))
	}
	return fields
}
