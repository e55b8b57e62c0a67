package server_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/fx"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pktsvc/pktsvc/pkg/server"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// With this variable the test binary is a server program, see exit_test.go.
const programVariable = "TEST_SERVER_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(programVariable) != "" {
		os.Exit(program())
	}
	goleak.VerifyTestMain(m)
}

// The request types of the service under test.
const (
	typeEcho  = 0
	typeBlock = 1 // answers when the gate opens
	typeOpen  = 2 // opens the gate
)

// gated is a service with a handler that waits.
type gated struct {
	entered chan struct{} // one for each request of typeBlock that runs
	gate    chan struct{} // they are answered when it is closed
}

func newGated() *gated {
	return &gated{entered: make(chan struct{}, 1000), gate: make(chan struct{})}
}

func (g *gated) service() server.Service {
	mux := new(stream.Mux)
	mux.HandleFunc(typeEcho, "Echo", func(_ context.Context, req stream.Request) (stream.Response, error) {
		return stream.Response{Flags: req.Flags, Payload: req.Payload}, nil
	})
	mux.HandleFunc(typeBlock, "Block", func(ctx context.Context, _ stream.Request) (stream.Response, error) {
		g.entered <- struct{}{}
		select {
		case <-g.gate:
			return stream.Text("done"), nil
		case <-ctx.Done():
			return stream.Response{}, ctx.Err()
		}
	})
	mux.HandleFunc(typeOpen, "Open", func(context.Context, stream.Request) (stream.Response, error) {
		close(g.gate)
		return stream.Response{}, nil
	})
	return server.Service{Name: "gated", Mux: mux}
}

// running is a started server.
type running struct {
	*gated
	app     *fx.App
	packets *server.PacketServer
	admin   *server.AdminServer
	logs    *observer.ObservedLogs
	stop    func() error // once; stops it at the end of the test, too
}

// start runs a server on loopback, with free ports.
func start(t *testing.T, change func(*server.Config), options ...fx.Option) *running {
	t.Helper()
	cfg := server.Default()
	cfg.Listen, cfg.Admin = []string{"tcp://127.0.0.1:0"}, "127.0.0.1:0"
	cfg.Drain.Linger = 100 * time.Millisecond
	if change != nil {
		change(&cfg)
	}
	core, logs := observer.New(zapcore.DebugLevel)
	r := &running{gated: newGated(), logs: logs}
	r.app = server.New(cfg,
		fx.Provide(server.AsService(r.service)),
		fx.Decorate(func(*zap.Logger) *zap.Logger { return zap.New(core) }),
		fx.Populate(&r.packets, &r.admin),
		fx.Options(options...),
	)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := r.app.Start(ctx); err != nil {
		t.Fatal(err)
	}
	stopped := false
	r.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		ctx, cancel := context.WithTimeout(context.Background(), cfg.StopTimeout())
		defer cancel()
		return r.app.Stop(ctx)
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// dial opens a raw connection to the i-th listener.
func (r *running) dial(t *testing.T, i int) net.Conn {
	t.Helper()
	network, target, _ := strings.Cut(r.packets.Addresses()[i], "://")
	nc, err := net.Dial(network, target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc
}

// connect opens a connection to the first listener.
func (r *running) connect(t *testing.T) *stream.Conn {
	t.Helper()
	nc := r.dial(t, 0)
	conn, err := stream.NewConn(nc, stream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func echo(t *testing.T, conn stream.Caller, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	resp, err := conn.Call(ctx, stream.Request{Type: typeEcho, Flags: 5, Payload: []byte(text)})
	if err != nil || string(resp.Payload) != text || resp.Flags != 5 {
		t.Fatalf("echo of %q: %q, flags %d, %v", text, resp.Payload, resp.Flags, err)
	}
}

// get asks the admin server.
func (r *running) get(t *testing.T, path string) (code int, body string) {
	t.Helper()
	resp, err := http.Get(r.admin.URL() + path)
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

func (r *running) getJSON(t *testing.T, path string, into any) {
	t.Helper()
	code, body := r.get(t, path)
	if code != http.StatusOK {
		t.Fatalf("GET %s: %d %s", path, code, body)
	}
	if err := json.Unmarshal([]byte(body), into); err != nil {
		t.Fatalf("GET %s: %v in %s", path, err, body)
	}
}

// listing is what tests read of /connz.
type listing struct {
	Open        int
	Closed      map[string]int
	Matched     int
	Connections []struct {
		Name, State, Peer, Listener, Reason, Cause string
		Stats                                      struct {
			Requests int `json:"requests_received"`
			Sent     int `json:"bytes_sent"`
			Serving  int
		}
	}
}

// eventually polls until ok, for a bounded time.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen in 10s: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func wait[T any](t *testing.T, what string, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(10 * time.Second):
		t.Fatalf("did not happen in 10s: %s", what)
	}
	return v
}

func TestServeOnEveryKindOfListener(t *testing.T) {
	socket := t.TempDir() + "/s"
	r := start(t, func(c *server.Config) {
		c.Listen = []string{"tcp://127.0.0.1:0", "unix://" + socket, "tcp://127.0.0.1:0"}
	})
	addresses := r.packets.Addresses()
	if len(addresses) != 3 || addresses[1] != "unix://"+socket || addresses[0] == addresses[2] {
		t.Fatalf("addresses are %v", addresses)
	}
	for i, url := range addresses {
		conn, err := stream.NewConn(r.dial(t, i), stream.Options{})
		if err != nil {
			t.Fatal(err)
		}
		echo(t, conn, url)
		if err := conn.Shutdown(t.Context()); err != nil {
			t.Errorf("shutdown on %s: %v", url, err)
		}
	}
	lines := r.logs.FilterMessage("listening").All()
	if len(lines) != 1 {
		t.Fatalf("%d lines say listening, want 1", len(lines))
	}
	fields := lines[0].ContextMap()
	for i, url := range fields["addresses"].([]any) {
		if url != addresses[i] || strings.HasSuffix(addresses[i], ":0") {
			t.Errorf("logged address %d is %v, the real one %v", i, url, addresses[i])
		}
	}
	if fields["admin"] != r.admin.URL() {
		t.Errorf("logged admin address %v, want %v", fields["admin"], r.admin.URL())
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(socket); !os.IsNotExist(err) {
		t.Errorf("the socket file is still there: %v", err)
	}
}

func TestListenErrorsNameEveryAddress(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	busy := "tcp://" + taken.Addr().String()
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := server.Default()
	cfg.Listen, cfg.Admin = []string{"tcp://127.0.0.1:0", busy, "unix://" + file}, ""
	app := server.New(cfg, fx.Decorate(func(*zap.Logger) *zap.Logger { return zap.NewNop() }))
	err = server.Run(app)
	if err == nil {
		t.Fatal("it started")
	}
	if server.ExitCode(err) != 1 {
		t.Errorf("exit code %d, want 1", server.ExitCode(err))
	}
	for _, want := range []string{"listen on " + busy + ": bind: address already in use", "listen on unix://" + file + ": the path exists and is no socket"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "precious" {
		t.Errorf("the file was touched: %q, %v", b, err)
	}
}
