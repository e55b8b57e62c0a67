package tracing

import (
	"context"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Ended is a request that was not sampled when it began, and turned out to be worth a
// span when it had ended.
type Ended struct {
	Conn      *stream.ConnInfo
	Role      stream.Role // of this side
	End       stream.End
	Outcome   stream.Outcome
	Rejection stream.RejectReason // of this side
	Err       error
	Because   string // why; an attribute of the span
}

// ExportedTrace is the trace that Export puts a request in; empty if it exports none.
func (t *Observer) ExportedTrace(conn *stream.ConnInfo, role stream.Role, channel, tag uint64) string {
	if p := t.provider; p != nil && p.Enabled() {
		return p.traceID(conn, role, channel, tag).String()
	}
	return ""
}

// Export makes a span of a request that has ended, with its true times, whatever the
// sampler says, and exports it like any other. It returns the trace: the one that the
// handler of the request found in its context, too; empty if no spans are exported, or
// by somebody else's provider. It may be called concurrently and does not block.
func (t *Observer) Export(e Ended) (traceID string) {
	p := t.provider
	if p == nil || !p.Enabled() {
		return ""
	}
	r := &request{
		Context: context.Background(), observer: t, role: e.Role, conn: e.Conn, further: t.further(e.Conn), ended: true,
		decided: decision{traceID: p.traceID(e.Conn, e.Role, e.End.Channel, e.End.Tag), spanID: newSpanID(), root: true},
		End:     e.End, outcome: e.Outcome, rejection: e.Rejection, note: noteOf(e.Err, e.Because),
	}
	if e.Role == stream.RoleServer {
		r.decided.spanID = (&unsampled{traceID: r.decided.traceID}).SpanContext().SpanID() // that its handler has seen
	}
	r.finishUnasked()
	return r.decided.traceID.String()
}
