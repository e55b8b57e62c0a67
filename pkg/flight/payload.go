package flight

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// MaxPayload is how many bytes of a payload a rule may ask for.
const MaxPayload = 1024

// Payloads returns the part of the recorder that sees the payloads of requests, for rules
// that ask for them (RuleOptions.Payload): an observer of its own, to be combined with the
// recorder. It asks the connections for nothing while there is no such rule.
func (r *Recorder) Payloads() stream.Observer { return payloads{r} }

type payloads struct{ recorder *Recorder }

var _ stream.Chooser = payloads{}

// Events are the beginnings of requests, as long as a rule asks for payloads.
func (p payloads) Events() stream.EventSet {
	if p.recorder.wantsPayloads() {
		return stream.Events(stream.EventCallBegin, stream.EventRequestBegin)
	}
	return 0
}

// Chooses takes requests that may come to match. A call's tag is not known yet.
func (p payloads) Chooses(_ context.Context, c *stream.Conn, role stream.Role, channel, tag, typ uint64) bool {
	return p.bytes(c, role, channel, tag, typ) > 0
}

// bytes is how many bytes of a request's payload rules ask for.
func (p payloads) bytes(c *stream.Conn, role stream.Role, channel, tag, typ uint64) int {
	most := 0
	for _, rule := range p.recorder.Rules() {
		if rule.Payload > most && rule.Match.begun(c.Info(), role, channel, tag, typ) {
			most = rule.Payload
		}
	}
	return most
}

type prefixKey struct{}

// Begin keeps the beginning of the payload in the request's context, until its end.
func (p payloads) Begin(ctx context.Context, e *stream.Event) context.Context {
	role := stream.RoleServer
	if e.Kind == stream.EventCallBegin {
		role = stream.RoleClient
	}
	n := p.bytes(e.Conn, role, e.Packet.Channel, e.Packet.Tag, e.Packet.Type)
	n = min(n, len(e.Packet.Payload))
	return context.WithValue(ctx, prefixKey{}, slices.Clone(e.Packet.Payload[:n]))
}

// Observe is not called: the recorder itself sees the ends.
func (payloads) Observe(context.Context, *stream.Event) {}

// payload is the text that is shown of a request's payload, if a rule that it matches asks
// for that.
func (r *Recorder) payload(ctx context.Context, n *Notable) string {
	most := 0
	for _, rule := range n.matched {
		most = max(most, rule.Payload)
	}
	prefix, seen := ctx.Value(prefixKey{}).([]byte)
	if most == 0 || !seen {
		return ""
	}
	size := n.rec.RequestSize
	if !r.opts.ShowPayloads {
		return fmt.Sprintf("redacted, %d bytes", size)
	}
	prefix = prefix[:min(most, len(prefix))]
	text := strconv.QuoteToASCII(string(prefix))
	if len(prefix) < size {
		text += fmt.Sprintf("... of %d bytes", size)
	}
	return text
}

func (r *Recorder) wantsPayloads() bool {
	w := r.watching.Load()
	return w != nil && w.payloads()
}

func (w *watching) payloads() bool {
	return slices.ContainsFunc(w.rules, func(rule *Rule) bool { return rule.Payload > 0 })
}

// askAgain tells all connections that what Payloads wants may have changed. Those that open
// at the same time see to it themselves.
func (r *Recorder) askAgain() {
	for _, c := range r.open() {
		c.AskObserver()
	}
}
