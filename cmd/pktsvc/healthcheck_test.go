package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestAskReady(t *testing.T) {
	tests := []struct {
		name    string
		handler http.HandlerFunc
		want    string // in the error; empty for none
	}{
		{"ready", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"state": "ready"}`)) }, ""},
		{"draining", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"state": "draining"}`))
		}, `503 Service Unavailable: {"state": "draining"}`},
		{"silent", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "no answer in time"},
		{"another server", http.NotFound, "404 Not Found"},
		{"an answer cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("x"))
		}, "broke off"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(test.handler)
			t.Cleanup(server.Close)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			state, err := askReady(ctx, strings.TrimPrefix(server.URL, "http://"))
			switch {
			case test.want == "" && (err != nil || !strings.Contains(state, "ready")):
				t.Errorf("state %q, %v", state, err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("the error is %v, want %q", err, test.want)
			}
		})
	}
	if _, err := askReady(t.Context(), "nonsense"); err == nil || !strings.Contains(err.Error(), "want HOST:PORT") {
		t.Errorf("no port: the error is %v", err)
	}
}
