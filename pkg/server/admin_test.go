package server_test

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/server"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

func TestAdminPages(t *testing.T) {
	r := start(t, nil)
	echo(t, r.connect(t), "hello")
	tests := []struct {
		path string
		code int
		want string
	}{
		{"/", 200, "/connz  "},
		{"/livez", 200, `"ready"`},
		{"/startupz", 200, `"ready"`},
		{"/readyz", 200, `"ready"`},
		{"/metrics", 200, `pktsvc_server_state{state="ready"} 1`},
		{"/metrics", 200, "go_goroutines"},
		{"/metrics", 200, `pktsvc_server_connections_refused_total{reason="connections"} 0`},
		{"/version", 200, `"go": "go1.`},
		{"/config", 200, "max_packet: 67108864"},
		{"/log/level", 200, `"info"`},
		{"/connz", 200, `"requests_received": 1`},
		{"/requestz", 200, `"requests": []`},
		{"/debug/pprof/", 200, "goroutine"},
		{"/debug/pprof/cmdline", 200, "test"},
		{"/debug/pprof/heap?debug=1", 200, "heap profile"},
		{"/connz", 200, `"features": []`},
		{"/connz", 200, `"round_trip_us": 0`},
		{"/connz?latency=1h", 200, `"requests": 1,`},
		{"/connz?latency=soon", 400, `latency=\"soon\", want a time with its unit`},
		{"/connz?sort=nothing", 400, `sort=\"nothing\", want one of`},
		{"/connz?stat=open", 400, `unknown parameter \"stat\"`},
		{"/connz?limit=-1", 400, `limit=\"-1\"`},
		{"/requestz?tag=x", 400, `tag=\"x\", want a number`},
		{"/requestz?role=both", 400, "want one of client, server"},
		{"/nothing", 404, ""},
	}
	for _, test := range tests {
		code, body := r.get(t, test.path)
		if code != test.code || !strings.Contains(body, test.want) {
			t.Errorf("GET %s: %d, want %d with %q:\n%.500s", test.path, code, test.code, test.want, body)
		}
	}
}

func TestMetricsAreOpenMetricsWhenAsked(t *testing.T) {
	r := start(t, nil)
	req, err := http.NewRequest(http.MethodGet, r.admin.URL()+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if kind := resp.Header.Get("Content-Type"); !strings.HasPrefix(kind, "application/openmetrics-text") {
		t.Errorf("content type %s", kind)
	}
	if !bytes.HasSuffix(body, []byte("# EOF\n")) {
		t.Error("the text does not end as OpenMetrics does")
	}
}

func TestLogLevelChanges(t *testing.T) {
	r := start(t, nil)
	req, err := http.NewRequest(http.MethodPut, r.admin.URL()+"/log/level", strings.NewReader(url.Values{"level": {"debug"}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if _, body := r.get(t, "/log/level"); !strings.Contains(body, "debug") {
		t.Errorf("level after PUT: %s (%s)", body, resp.Status)
	}
}

func TestAdminToken(t *testing.T) {
	r := start(t, func(c *server.Config) { c.AdminToken = "open sesame" })
	for _, path := range []string{"/readyz", "/metrics", "/version"} {
		if code, _ := r.get(t, path); code != 200 {
			t.Errorf("%s without the token: %d", path, code)
		}
	}
	for _, path := range []string{"/connz", "/config", "/debug/pprof/", "/log/level"} {
		code, body := r.get(t, path)
		if code != 401 || strings.Contains(body, "sesame") {
			t.Errorf("%s without the token: %d %s", path, code, body)
		}
		for token, want := range map[string]int{"open sesame": 200, "open sesam": 401} {
			req, err := http.NewRequest(http.MethodGet, r.admin.URL()+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+token)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s with %q: %s", path, token, resp.Status)
			}
			if bytes.Contains(body, []byte("open sesame")) {
				t.Errorf("%s shows the token", path)
			}
		}
	}
}

func TestWebPagesOfOthersCannotChangeAnything(t *testing.T) {
	r := start(t, nil)
	req, err := http.NewRequest(http.MethodPut, r.admin.URL()+"/log/level?level=debug", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", "https://evil.example")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("answered %s", resp.Status)
	}
}

func TestConnz(t *testing.T) {
	r := start(t, nil)
	conns := []*stream.Conn{r.connect(t), r.connect(t), r.connect(t)}
	for i, conn := range conns {
		for range i + 1 {
			echo(t, conn, "x")
		}
	}
	if err := conns[0].Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	var all listing
	eventually(t, "the closed connection is listed", func() bool {
		all = listing{}
		r.getJSON(t, "/connz", &all)
		return all.Open == 2 && len(all.Connections) == 3
	})
	if all.Closed["shutdown"] != 1 || all.Matched != 3 {
		t.Errorf("totals: %+v", all)
	}
	last := all.Connections[2]
	if last.State != "closed" || last.Reason != "shutdown" || last.Cause != "" || last.Stats.Requests != 1 || !strings.HasPrefix(last.Peer, "127.0.0.1:") {
		t.Errorf("the closed one: %+v", last)
	}
	tests := []struct {
		query   string
		matched int
		first   int // requests of the first that is listed
		listed  int
	}{
		{"state=open", 2, 2, 2},
		{"state=closed", 1, 1, 1},
		{"state=open&sort=requests", 2, 3, 2},
		{"sort=requests&limit=1", 3, 3, 1},
		{"reason=shutdown", 1, 1, 1},
		{"name=" + last.Name, 1, 1, 1},
		{"name=nobody", 0, 0, 0},
	}
	for _, test := range tests {
		var got listing
		r.getJSON(t, "/connz?"+test.query, &got)
		if got.Matched != test.matched || len(got.Connections) != test.listed || test.listed > 0 && got.Connections[0].Stats.Requests != test.first {
			t.Errorf("%s: %+v", test.query, got)
		}
	}
}

func TestRequestz(t *testing.T) {
	r := start(t, nil)
	a, b := r.connect(t), r.connect(t)
	var calls []*stream.Call
	for _, conn := range []*stream.Conn{a, a, b} {
		call, err := conn.Submit(t.Context(), stream.Request{Type: typeBlock, Payload: []byte("abc"), Flags: 9})
		if err != nil {
			t.Fatal(err)
		}
		calls = append(calls, call)
		wait(t, "the request is handled", r.entered)
	}
	type listed struct {
		Matched  int
		Requests []struct {
			Conn, Peer, Role, State, Method string
			Channel, Tag, Type, Flags       uint64
			RequestBytes                    int   `json:"request_bytes"`
			DurationUS                      int64 `json:"duration_us"`
		}
	}
	var all listed
	r.getJSON(t, "/requestz", &all)
	if all.Matched != 3 || len(all.Requests) != 3 {
		t.Fatalf("%+v", all)
	}
	one := all.Requests[0]
	if one.Role != "server" || one.State != "running" || one.Method != "Block" || one.Tag != 2 || one.Type != typeBlock || one.Flags != 9 || one.RequestBytes != 3 || one.DurationUS <= 0 {
		t.Errorf("%+v", one)
	}
	for query, want := range map[string]int{
		"conn=" + one.Conn: 2, "tag=2": 2, "tag=3": 1, "type=1": 3, "type=0": 0, "channel=0": 3, "channel=4": 0,
		"role=server": 3, "role=client": 0, "conn=" + one.Conn + "&tag=3": 1,
	} {
		var got listed
		r.getJSON(t, "/requestz?"+query, &got)
		if got.Matched != want {
			t.Errorf("%s: %d, want %d", query, got.Matched, want)
		}
	}
	close(r.gate)
	for _, call := range calls {
		if _, err := call.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	}
	eventually(t, "nothing is in flight", func() bool {
		var got listed
		r.getJSON(t, "/requestz", &got)
		return got.Matched == 0
	})
}

// What peers have agreed on is listed with their connection.
func TestConnzListsFeatures(t *testing.T) {
	r := start(t, nil)
	conn, err := stream.NewConn(r.dial(t, 0), stream.Options{Extension: stream.ExtensionAsk})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	eventually(t, "they have agreed", func() bool {
		_, body := r.get(t, "/connz")
		return strings.Contains(body, `"going_away"`)
	})
}
