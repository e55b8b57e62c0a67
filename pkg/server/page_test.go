package server_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/server"
)

const browserAccepts = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

// Browsers get the page, and tools the list of the paths.
func TestRootIsThePageOrTheList(t *testing.T) {
	r := start(t, nil)
	for _, test := range []struct{ path, accept, want, without string }{
		{"/", browserAccepts, "page/main.js", "/requestz"},
		{"/", "", "/connz       ", "<"},
		{"/", "*/*", "/connz       ", "<"},
		{"/index", "*/*", "/connz       ", "<"},
		{"/index", browserAccepts, `<dt><a href="connz">/connz</a>`, "<script"},
	} {
		code, body := r.ask(t, http.MethodGet, test.path, "Accept", test.accept)
		if code != http.StatusOK || !strings.Contains(body, test.want) || strings.Contains(body, test.without) {
			t.Errorf("%s for %q: %d, want %q and no %q:\n%.300s", test.path, test.accept, code, test.want, test.without, body)
		}
	}
	for _, test := range []struct {
		method, path string
		want         int
	}{
		{http.MethodGet, "/page/nothing.js", http.StatusNotFound},
		{http.MethodGet, "/page/", http.StatusNotFound},
		{http.MethodPost, "/", http.StatusMethodNotAllowed},
		{http.MethodPost, "/page/main.js", http.StatusMethodNotAllowed},
		{http.MethodHead, "/page/main.js", http.StatusOK},
	} {
		if code, body := r.ask(t, test.method, test.path); code != test.want {
			t.Errorf("%s %s: %d %s", test.method, test.path, code, body)
		}
	}
}

// The page itself needs no token, since there is nothing in it; what it asks for does.
func TestPageNeedsNoToken(t *testing.T) {
	r := start(t, func(c *server.Config) { c.AdminToken = "open sesame" })
	for _, path := range []string{"/", "/index", "/page/main.js", "/page/page.css", "/page/uplot/uPlot.iife.min.js"} {
		if code, body := r.ask(t, http.MethodGet, path, "Accept", browserAccepts); code != http.StatusOK || strings.Contains(body, "sesame") {
			t.Errorf("%s without the token: %d", path, code)
		}
	}
	for _, path := range []string{"/pagez", "/statz", "/connz", "/requestz", "/tracez"} {
		for token, want := range map[string]int{"": http.StatusUnauthorized, "Bearer open": http.StatusUnauthorized, "Bearer open sesame": http.StatusOK} {
			if code, _ := r.ask(t, http.MethodGet, path, "Authorization", token); code != want {
				t.Errorf("%s with %q: %d, want %d", path, token, code, want)
			}
		}
	}
}

func TestPagez(t *testing.T) {
	r := start(t, func(c *server.Config) {
		c.Tracing.URL, c.Dashboards.URL = "https://traces.example/{trace_id}", "https://dashboards.example/"
	})
	var got struct {
		Service       string
		Paths, Types  []string
		TraceURL      string `json:"trace_url"`
		DashboardsURL string `json:"dashboards_url"`
		Build         server.Build
	}
	r.getJSON(t, "/pagez", &got)
	if got.Service != "pktsvc" || got.TraceURL != "https://traces.example/{trace_id}" || got.DashboardsURL != "https://dashboards.example/" || got.Build.Go == "" {
		t.Errorf("%+v", got)
	}
	if !slices.Contains(got.Paths, "/connz") || !slices.Contains(got.Types, "Echo") || !slices.IsSorted(got.Types) {
		t.Errorf("%q, %q", got.Paths, got.Types)
	}
}

// A client without services has a page, too, and no list of connections.
func TestPageOfAClient(t *testing.T) {
	cfg := server.Default()
	cfg.Admin, cfg.Log.Level = "127.0.0.1:0", "error"
	client, err := server.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := client.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	resp, err := http.Get(client.AdminURL() + "/pagez")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got struct{ Paths, Types []string }
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(got.Paths, "/connz") || !slices.Contains(got.Paths, "/requestz") || got.Types == nil {
		t.Errorf("%+v", got)
	}
}

// Whatever changes something is refused to pages of other origins, as browsers tell of
// them in either of two headers, and reading is not told to them.
func TestNoOtherOrigin(t *testing.T) {
	r := start(t, nil)
	origin := r.admin.URL()
	for _, test := range []struct{ method, path string }{
		{http.MethodPost, "/tracez?type=Echo"}, {http.MethodDelete, "/tracez?id=1"},
		{http.MethodPut, "/log/level?level=debug"}, {http.MethodPut, "/log/trace?all=true&on=true"},
	} {
		for name, header := range map[string][]string{
			"another site":         {"Sec-Fetch-Site", "cross-site"},
			"another host of it":   {"Sec-Fetch-Site", "same-site"},
			"another origin":       {"Origin", "https://other.example"},
			"another port":         {"Origin", "http://127.0.0.1:1"},
			"an origin of its own": {"Origin", "null"},
			"both":                 {"Origin", "https://other.example", "Sec-Fetch-Site", "cross-site"},
			"an origin pretended":  {"Origin", origin, "Sec-Fetch-Site", "cross-site"},
		} {
			if code, _ := r.ask(t, test.method, test.path, header...); code != http.StatusForbidden {
				t.Errorf("%s %s from %s: %d", test.method, test.path, name, code)
			}
		}
	}
	for name, header := range map[string][]string{
		"the page": {"Origin", origin, "Sec-Fetch-Site", "same-origin"}, "curl": nil, "an old browser": {"Origin", origin},
	} {
		if code, body := r.ask(t, http.MethodPost, "/tracez?conn=none", header...); code != http.StatusCreated {
			t.Errorf("%s may not add a rule: %d %s", name, code, body)
		}
	}
	resp, err := http.Get(origin + "/statz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.Header.Get("Access-Control-Allow-Origin") != "" || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%v", resp.Header)
	}
}

func TestLinksAreChecked(t *testing.T) {
	for text, want := range map[string]string{
		"https://traces.example/{trace_id}": "", "http://h:1/?id={trace_id}#x": "", "http://[::1]/#{trace_id}": "",
		"https://traces.example/":       `want a URL with {trace_id} where the ID goes`,
		"javascript:alert({trace_id})":  "it has another scheme, or none",
		"traces.example/{trace_id}":     "it has another scheme, or none",
		"https://{trace_id}.example/":   "it cannot be read",
		"https:///{trace_id}":           "it has no host",
		"https://u:secret@h/{trace_id}": `tracing.url is "https://********@h/{trace_id}"`,
		"https://h/%zz{trace_id}":       "it cannot be read",
	} {
		cfg := server.Config{Tracing: server.TracingConfig{URL: text}}
		err := cfg.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) || err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("tracing.url=%s: %v, want %q", text, err, want)
		}
	}
	for text, ok := range map[string]bool{"": true, "https://h/d": true, "ftp://h/": false, "//h/": false} {
		cfg := server.Config{Dashboards: server.DashboardsConfig{URL: text}}
		if err := cfg.Validate(); (err == nil) != ok {
			t.Errorf("dashboards.url=%s: %v", text, err)
		}
	}
}
