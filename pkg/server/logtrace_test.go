package server_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/fx"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pktsvc/pktsvc/pkg/server"
)

// put changes something by the admin server.
func (r *running) put(t *testing.T, path string) (code int, body string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPut, r.admin.URL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// withTraceLog replaces the logger of the packet trace.
func withTraceLog() (*observer.ObservedLogs, fx.Option) {
	core, logs := observer.New(zapcore.DebugLevel)
	return logs, fx.Decorate(fx.Annotate(
		func(*zap.Logger) *zap.Logger { return zap.New(core) },
		fx.ParamTags(`name:"pktsvc.trace"`), fx.ResultTags(`name:"pktsvc.trace"`),
	))
}

func TestPacketTraceOfOneConnection(t *testing.T) {
	logs, option := withTraceLog()
	r := start(t, nil, option)
	followed, other := r.connect(t), r.connect(t)
	echo(t, followed, "before")
	echo(t, other, "before")
	var all listing
	eventually(t, "what was sent is accounted for", func() bool { // which is behind its events
		all = listing{}
		r.getJSON(t, "/connz?state=open", &all)
		return all.Connections[0].Stats.Sent > 0 && all.Connections[1].Stats.Sent > 0
	})
	name := all.Connections[0].Name

	if code, body := r.put(t, "/log/trace?conn="+name+"&on=true"); code != 200 || !strings.Contains(body, name) {
		t.Fatalf("PUT: %d %s", code, body)
	}
	echo(t, followed, "traced")
	echo(t, other, "not traced")
	eventually(t, "the packets are logged", func() bool { return logs.FilterMessage("flushed").Len() == 1 }) // the last of its lines
	if logs.FilterMessage("packet_written").Len() != 1 {
		t.Error("not one packet was written")
	}
	for _, line := range logs.All() {
		if line.ContextMap()["conn"] != name {
			t.Errorf("a line about another connection: %v", line)
		}
	}
	if logs.FilterMessage("packet_received").Len() != 1 {
		t.Error("not one packet was received")
	}

	if code, body := r.put(t, "/log/trace?conn="+name+"&on=false"); code != 200 || strings.Contains(body, name) {
		t.Errorf("PUT: %d %s", code, body)
	}
	lines := logs.Len()
	echo(t, followed, "after")
	echo(t, followed, "and after that")
	if n := logs.Len(); n != lines {
		t.Errorf("%d lines after the trace was switched off", n-lines)
	}
	for path, want := range map[string]string{
		"?conn=nobody&on=true": "no open connection is called", "?conn=" + name + "&on=maybe": "want true or false",
		"?on=true": "want either conn=NAME", "?name=x&on=true": "unknown parameter",
	} {
		if code, body := r.put(t, "/log/trace"+path); code != 400 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
}

func TestPacketTraceModes(t *testing.T) {
	t.Run("on", func(t *testing.T) {
		logs, option := withTraceLog()
		r := start(t, func(c *server.Config) { c.Log.Packets = "on" }, option)
		echo(t, r.connect(t), "traced from the start")
		eventually(t, "the packets are logged", func() bool { return logs.FilterMessage("packet_received").Len() == 1 })
	})
	t.Run("off", func(t *testing.T) {
		r := start(t, func(c *server.Config) { c.Log.Packets = "off" })
		if code, body := r.put(t, "/log/trace?all=true&on=true"); code != 400 || !strings.Contains(body, "not allowed") {
			t.Errorf("PUT: %d %s", code, body)
		}
	})
}

// Peers cannot fill the log: lines alike are left out, and counted.
func TestLogsAreSampled(t *testing.T) {
	r := start(t, nil)
	const connections = 300
	for range connections {
		nc := r.dial(t, 0)
		if _, err := nc.Write([]byte("GET / HTTP/1.1\r\n")); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, nc)
		nc.Close()
	}
	eventually(t, "all have ended", func() bool {
		var got listing
		r.getJSON(t, "/connz", &got)
		return got.Closed["not_packets"] == connections
	})
	lines := r.logs.FilterMessage("connection closed").Len()
	if lines >= connections || lines == 0 {
		t.Errorf("%d lines for %d connections", lines, connections)
	}
	if _, body := r.get(t, "/metrics"); strings.Contains(body, `pktsvc_log_lines_dropped_total{level="warn"} 0`+"\n") {
		t.Error("the lines that were left out are not counted")
	}
}
