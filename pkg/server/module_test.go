package server_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/pktsvc/pktsvc/pkg/server"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

func TestModuleIsComplete(t *testing.T) {
	if err := fx.ValidateApp(server.Module, fx.Supply(server.Default())); err != nil {
		t.Error(err)
	}
	if err := fx.ValidateApp(server.Module); err == nil || !strings.Contains(err.Error(), "server.Config") {
		t.Errorf("without a configuration: %v", err)
	}
}

func muxOf(names map[uint64]string) *stream.Mux {
	mux := new(stream.Mux)
	for typ, name := range names {
		mux.HandleFunc(typ, name, func(context.Context, stream.Request) (stream.Response, error) {
			return stream.Text(name), nil
		})
	}
	return mux
}

func supply(s server.Service) fx.Option {
	return fx.Provide(server.AsService(func() server.Service { return s }))
}

func TestServicesShareChannels(t *testing.T) {
	cfg := server.Default()
	cfg.Listen, cfg.Admin = []string{"tcp://127.0.0.1:0"}, ""
	var packets *server.PacketServer
	app := server.New(cfg,
		fx.Decorate(func(*zap.Logger) *zap.Logger { return zap.NewNop() }),
		supply(server.Service{Name: "a", Mux: muxOf(map[uint64]string{1: "One", 2: "Two"})}),
		supply(server.Service{Name: "b", Mux: muxOf(map[uint64]string{3: "Three"})}),
		supply(server.Service{Name: "c", Channel: 7, Mux: muxOf(map[uint64]string{1: "Uno"})}),
		fx.Populate(&packets),
	)
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer app.Stop(context.Background())
	client, err := stream.NewClient(
		stream.DialNetwork("tcp", strings.TrimPrefix(packets.Addresses()[0], "tcp://")),
		stream.ClientOptions{Conn: stream.Options{Channels: map[uint64]stream.Handler{7: nil}}},
	)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, test := range []struct {
		channel, typ uint64
		want         string
	}{{0, 1, "One"}, {0, 2, "Two"}, {0, 3, "Three"}, {7, 1, "Uno"}} {
		resp, err := client.Call(t.Context(), stream.Request{Channel: test.channel, Type: test.typ})
		if err != nil || string(resp.Payload) != test.want {
			t.Errorf("channel %d, type %d: %q, %v; want %q", test.channel, test.typ, resp.Payload, err, test.want)
		}
	}
}

func TestServicesThatCannotBeServed(t *testing.T) {
	tests := []struct {
		name     string
		services []server.Service
		want     string
	}{
		{"same type", []server.Service{
			{Name: "b", Mux: muxOf(map[uint64]string{1: "X"})}, {Name: "a", Mux: muxOf(map[uint64]string{1: "Y"})},
		}, `services "a" and "b" both handle request type 1 on channel 0`},
		{"no mux", []server.Service{{Name: "empty"}}, `service "empty" has no Mux`},
		{"reserved channel", []server.Service{{Name: "x", Channel: 112, Mux: new(stream.Mux)}}, `service "x" wants channel 112`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := server.Default()
			cfg.Admin = ""
			options := []fx.Option{fx.Decorate(func(*zap.Logger) *zap.Logger { return zap.NewNop() })}
			for _, s := range test.services {
				options = append(options, supply(s))
			}
			app := server.New(cfg, options...)
			if app.Err() == nil {
				t.Fatal("the app would start")
			}
			err := server.Run(app)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want %q", err, test.want)
			}
		})
	}
}

func TestNewRefusesAWrongConfiguration(t *testing.T) {
	cfg := server.Default()
	cfg.Listen, cfg.Drain.Timeout = []string{"nowhere"}, -1
	app := server.New(cfg)
	if app.Err() == nil {
		t.Fatal("the app would start")
	}
	err := server.Run(app)
	for _, want := range []string{`listen is "nowhere"`, `drain.timeout is "-1ns"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want %q", err, want)
		}
	}
}

// counting counts the requests that begin.
type counting struct{ requests atomic.Int64 }

func (*counting) Events() stream.EventSet { return stream.Events(stream.EventRequestBegin) }
func (c *counting) Begin(ctx context.Context, _ *stream.Event) context.Context {
	c.requests.Add(1)
	return ctx
}
func (*counting) Observe(context.Context, *stream.Event) {}

func TestObserversOfTheApp(t *testing.T) {
	seen := new(counting)
	r := start(t, nil, fx.Provide(server.AsObserver(func() *counting { return seen })))
	conn := r.connect(t)
	echo(t, conn, "1")
	echo(t, conn, "2")
	if n := seen.requests.Load(); n != 2 {
		t.Errorf("the observer saw %d requests, want 2", n)
	}
}

// opening tells of each connection that opens, and waits until it may go on.
type opening struct{ opened, goOn chan struct{} }

func (opening) Events() stream.EventSet { return stream.Events(stream.EventConnOpened) }
func (opening) Begin(ctx context.Context, _ *stream.Event) context.Context {
	return ctx
}
func (o opening) Observe(context.Context, *stream.Event) { o.opened <- struct{}{}; <-o.goOn }

// A connection is listed before it can serve its first request.
func TestListedBeforeTheFirstRequest(t *testing.T) {
	o := opening{make(chan struct{}), make(chan struct{})}
	r := start(t, nil, fx.Provide(server.AsObserver(func() opening { return o })))
	defer close(o.goOn)
	r.connect(t)
	<-o.opened
	var got listing
	r.getJSON(t, "/connz", &got)
	if got.Open != 1 || got.Matched != 1 {
		t.Errorf("/connz: %+v", got)
	}
}

func TestShutdownerGivesTheExitCode(t *testing.T) {
	cfg := server.Default()
	cfg.Listen, cfg.Admin = []string{"tcp://127.0.0.1:0"}, ""
	app := server.New(cfg,
		fx.Decorate(func(*zap.Logger) *zap.Logger { return zap.NewNop() }),
		fx.Invoke(func(life fx.Lifecycle, s fx.Shutdowner) {
			life.Append(fx.StartHook(func() error { return s.Shutdown(fx.ExitCode(3)) }))
		}),
	)
	if code := server.ExitCode(server.Run(app)); code != 3 {
		t.Errorf("exit code %d, want 3", code)
	}
}
