package server_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/server"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// A program that only calls shows its calls as a server shows its requests.
func TestClientObservesCalls(t *testing.T) {
	r := start(t, nil)
	cfg := server.Default()
	cfg.Admin = "127.0.0.1:0"
	client, err := server.NewClient(cfg, server.Service{Name: "names", Mux: muxOf(map[uint64]string{4711: "Nothing"})})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err := stream.NewConn(r.dial(t, 0), stream.Options{Name: "caller", Observer: client.Observer()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Call(t.Context(), stream.Request{Type: 4711}); err == nil {
		t.Fatal("an unknown type was answered ok")
	}
	for path, want := range map[string]string{
		"/metrics":          `pktsvc_requests_total{outcome="rejected",role="client",type="Nothing"} 1`,
		"/readyz":           "ready",
		"/logz?conn=caller": `"msg": "call rejected by the peer"`,
		"/version":          "go1.",
		"/debug/pprof/heap": "",
		"/log/level":        "info",
	} {
		resp, err := http.Get(client.AdminURL() + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s, %v, want %q in\n%.2000s", path, resp.Status, err, want, body)
		}
	}
	conn.Close()
	if err := client.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestClientErrors(t *testing.T) {
	if _, err := server.NewClient(server.Config{Admin: "nowhere"}); !errors.As(err, new(*server.ConfigError)) {
		t.Errorf("a wrong configuration: %v", err)
	}
	r := start(t, nil)
	client, err := server.NewClient(server.Config{Admin: r.admin.Address()})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Start(t.Context()); !errors.As(err, new(*server.ListenError)) {
		t.Errorf("a port in use: %v", err)
	}
}
