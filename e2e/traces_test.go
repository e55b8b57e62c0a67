package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

// jaegerTrace is the part of an answer of Jaeger that is looked at.
type jaegerTrace struct {
	Data []struct {
		Spans     []jaegerSpan
		Processes map[string]struct{ ServiceName string }
	}
}

// jaegerSpan is one span; its times are in microseconds.
type jaegerSpan struct {
	SpanID, OperationName, ProcessID string
	StartTime, Duration              int64
	References                       []struct{ RefType, SpanID string }
	Tags                             []jaegerTag
	Logs                             []struct {
		Timestamp int64
		Fields    []jaegerTag
	}
	service string // the process by its name
}

type jaegerTag struct {
	Key   string
	Value any
}

// tags are those of the span by name.
func (s *jaegerSpan) tags() map[string]string {
	has := make(map[string]string)
	for _, tag := range s.Tags {
		has[tag.Key] = fmt.Sprint(tag.Value)
	}
	return has
}

// trace returns the spans of a trace.
func (j *jaeger) trace(id string) ([]jaegerSpan, error) {
	body, err := get("http://" + j.query + "/api/traces/" + id)
	if err != nil {
		return nil, err
	}
	var found jaegerTrace
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber() // tags are to be printed as they are
	if err := dec.Decode(&found); err != nil {
		return nil, err
	}
	var spans []jaegerSpan
	for _, d := range found.Data {
		for _, span := range d.Spans {
			span.service = d.Processes[span.ProcessID].ServiceName
			spans = append(spans, span)
		}
	}
	return spans, nil
}

// Two clicks: from a panel to an exemplar, from the exemplar to the trace of one
// request, which names its connection and tag; and from there to the log.
func TestFromPanelToTrace(t *testing.T) {
	j := startJaeger(t)
	s := serve(t, program{env: j.environment()}, "--log-slow", "10ms")
	l := s.bench(t, j.environment(), "--rate", "20", "--type", "5", "--data", "20") // slow, so it is logged
	blocks := serveStore(t, j.environment())
	blocks.useStore(t)
	p := startPrometheus(t, map[string][]string{"pktsvc": {s.admin, blocks.admin}, "pktsvc-bench": {l.admin}}, rule(t, "recording.rules.yaml"))
	p.scraped(t, 3)

	deadline := time.Now().Add(time.Minute)
	shown := 0
	for _, q := range readDashboards(t) {
		if !q.exemplar {
			continue
		}
		shown++
		t.Run(q.where, func(t *testing.T) {
			eventually(t, time.Until(deadline).Round(time.Second), "an exemplar leads to a trace", func() error {
				trace, role, err := p.exemplar(t, q.expr)
				if err != nil {
					return err
				}
				if role == "" { // of an operation within a request of a server
					_, _, err := j.request(trace, "server")
					return errors.Join(err, j.operation(trace))
				}
				conn, tag, err := j.request(trace, role)
				if err != nil || role == "client" {
					return err
				}
				return s.logged(trace, conn, tag)
			})
		})
	}
	if shown == 0 {
		t.Error("no panel shows exemplars")
	}
}

// exemplar is the trace of an exemplar that Grafana would show with a query, and
// the role of the side that left it; none where it is not of a request itself.
func (p *prometheus) exemplar(t *testing.T, expr string) (trace, role string, err error) {
	now := time.Now()
	results, err := p.QueryExemplars(t.Context(), expr, now.Add(-5*time.Minute), now)
	if err != nil {
		return "", "", err
	}
	for _, series := range results {
		for _, e := range series.Exemplars {
			if id := e.Labels["trace_id"]; id != "" {
				return string(id), string(series.SeriesLabels["role"]), nil
			}
		}
	}
	return "", "", fmt.Errorf("no exemplar in %d series", len(results))
}

// request finds the request that a trace is of, as one side names it: connections
// have names of their own on each.
func (j *jaeger) request(trace, role string) (conn, tag string, err error) {
	spans, err := j.trace(trace)
	if err != nil {
		return "", "", err
	}
	for i := range spans {
		has := spans[i].tags()
		if has["span.kind"] == role && has["pktsvc.conn"] != "" && has["pktsvc.channel"] != "" && has["pktsvc.tag"] != "" {
			return has["pktsvc.conn"], has["pktsvc.tag"], nil
		}
	}
	return "", "", fmt.Errorf("no span of the %s in trace %s names its connection, channel and tag: %v", role, trace, spans)
}

// operation finds what a store did for a request.
func (j *jaeger) operation(trace string) error {
	spans, err := j.trace(trace)
	if err != nil {
		return err
	}
	for i := range spans {
		if strings.HasPrefix(spans[i].OperationName, "store.") && spans[i].tags()["pktsvc.store.result"] != "" && len(spans[i].References) == 1 {
			return nil
		}
	}
	return fmt.Errorf("no span of the store in trace %s: %v", trace, spans)
}

// logged finds the line about a request by each of its names.
func (s *service) logged(trace, conn, tag string) error {
	for _, query := range []url.Values{{"trace_id": {trace}}, {"conn": {conn}, "tag": {tag}}} {
		body, err := get(s.url("/logz?" + query.Encode()))
		if err != nil {
			return err
		}
		var page struct{ Matched int }
		if err := json.Unmarshal(body, &page); err != nil {
			return err
		}
		if page.Matched == 0 {
			return fmt.Errorf("no log line for %s", query.Encode())
		}
	}
	return nil
}
