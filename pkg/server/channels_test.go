package server_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"go.uber.org/fx"

	"github.com/pktsvc/pktsvc/pkg/server"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// A number of a request type is another type on another channel: everything that
// observes calls it by its own name.
func TestNamesByChannel(t *testing.T) {
	const channel = 3
	other := server.Service{Name: "other", Channel: channel, Mux: new(stream.Mux)}
	other.Mux.HandleFunc(typeEcho, "Refuse", func(context.Context, stream.Request) (stream.Response, error) {
		return stream.Response{}, errors.New("on purpose")
	})
	r := start(t, nil, fx.Provide(server.AsService(func() server.Service { return other })))
	conn, err := stream.NewConn(r.dial(t, 0), stream.Options{Channels: map[uint64]stream.Handler{channel: nil}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	echo(t, conn, "x")
	for range 2 {
		if _, err := conn.Call(t.Context(), stream.Request{Channel: channel, Type: typeEcho}); err == nil {
			t.Fatal("it is not refused")
		}
	}

	for query, want := range map[string]string{
		"type=Echo": "Echo", "type=Refuse": "Refuse,Refuse", "type=0&channel=3": "Refuse,Refuse", "channel=0": "Echo",
		"type=Refuse&channel=3": "Refuse,Refuse",
	} {
		var got requestList
		r.getJSON(t, "/requestz?state=all&"+query, &got)
		var methods []string
		for _, q := range got.Requests {
			methods = append(methods, q.Method)
		}
		if strings.Join(methods, ",") != want {
			t.Errorf("%s lists %q, want %s", query, methods, want)
		}
	}
	if _, page := r.get(t, "/metrics"); !strings.Contains(page, "\npktsvc_requests_total{outcome=\"ok\",role=\"server\",type=\"Echo\"} 1\n") ||
		!strings.Contains(page, "\npktsvc_requests_total{outcome=\"rejected\",role=\"server\",type=\"Refuse\"} 2\n") {
		t.Error("the metrics have other names or numbers")
	}
	failures := r.logs.FilterMessage("request failed").All()
	for _, line := range failures {
		if line.ContextMap()["method"] != "Refuse" {
			t.Errorf("the log has %v", line.ContextMap())
		}
	}
	if len(failures) == 0 {
		t.Error("no failure is logged")
	}
	if _, page := r.get(t, "/pagez"); !strings.Contains(page, `"Echo"`) || !strings.Contains(page, `"Refuse"`) {
		t.Errorf("/pagez does not have the types: %s", page)
	}
}
