package main

import (
	"context"
	"fmt"
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
			state, err := askReady(ctx, &admin{at: strings.TrimPrefix(server.URL, "http://")}, nil)
			switch {
			case test.want == "" && (err != nil || !strings.Contains(state, "ready")):
				t.Errorf("state %q, %v", state, err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("the error is %v, want %q", err, test.want)
			}
		})
	}
	if _, err := askReady(t.Context(), &admin{at: "nonsense"}, nil); err == nil || !strings.Contains(err.Error(), "want HOST:PORT") {
		t.Errorf("no port: the error is %v", err)
	}
}

// A server with TLS and users is asked with both; a password is not repeated.
func TestAskReadySecurely(t *testing.T) {
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "probe" || password != "secret" {
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, "ready")
	}))
	defer secure.Close()
	host := strings.TrimPrefix(secure.URL, "https://")
	trust := secure.Client().Transport.(*http.Transport).TLSClientConfig
	if state, err := askReady(t.Context(), &admin{at: "https://probe:secret@" + host}, trust); err != nil || state != "ready" {
		t.Errorf("%q, %v", state, err)
	}
	for at, want := range map[string]string{
		"https://probe:wrong!@" + host:     "401",
		"https://probe:wrong!@" + host[:4]: "want HOST:PORT or https://HOST:PORT",
		"https://probe:wrong!@%zz":         "no URL",
	} {
		_, err := askReady(t.Context(), &admin{at: at}, trust)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "wrong!") {
			t.Errorf("%v, want %s, and no password", err, want)
		}
	}
	if _, err := askReady(t.Context(), &admin{at: "https://probe:secret@" + host}, nil); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown authority: %v", err)
	}
}
