// Relay is a service in the middle: it answers what it is asked by asking another
// service, over one connection that is made on demand. The context of a handler goes
// along with its call, and with it what belongs to the request: the trace, how long the
// caller waits, and whether it has given up.
//
// By hand it takes three commands: the service behind, the relay, and a client. Each
// service has an admin server of its own, so that a slow request can be followed from
// one to the other.
//
//	go run ./cmd/pktsvc serve
//	PKTSVC_LISTEN=tcp://127.0.0.1:7460 PKTSVC_ADMIN=127.0.0.1:7461 go run ./examples/relay 127.0.0.1:7450
//	go run ./cmd/pktsvc call --addr 127.0.0.1:7460 --type 5 --data 400
//
//	go run ./cmd/pktsvc requests --notable --admin 127.0.0.1:7461
//	go run ./cmd/pktsvc show upstream/2 --admin 127.0.0.1:7461
//	go run ./cmd/pktsvc show tcp-1/2 --admin 127.0.0.1:7451
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"go.uber.org/fx"

	"github.com/pktsvc/pktsvc/pkg/diag"
	"github.com/pktsvc/pktsvc/pkg/server"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

func main() {
	address := "127.0.0.1:7450"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	cfg, err := server.Load(server.Source{})
	if err == nil {
		cfg.Tracing.Service = "relay"
		err = server.Run(fx.New(app(cfg, stream.DialNetwork("tcp", address))))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(server.ExitCode(err))
}

// app is the whole program. dial is the way to the service behind it.
func app(cfg server.Config, dial stream.Dial) fx.Option {
	r := &relay{dial: dial}
	return fx.Options(
		fx.NopLogger,
		fx.Supply(cfg),
		fx.StopTimeout(cfg.StopTimeout()),
		// Before the server: what begins first ends last, and handlers call on until the
		// server has drained.
		fx.Module("upstream", fx.Invoke(r.connect)),
		server.Module,
		fx.Provide(server.AsService(r.service)),
	)
}

type relay struct {
	dial     stream.Dial
	upstream *stream.Client // set before the server starts
}

// service has the request types of the service behind it.
func (r *relay) service() server.Service {
	mux := new(stream.Mux)
	for typ, name := range diag.Mux().Names() {
		mux.HandleFunc(typ, name, r.forward)
	}
	return server.Service{Name: "relay", Mux: mux}
}

// connect makes the client, which does not dial yet. Its calls are in the same metrics,
// traces and listings as the requests that cause them.
func (r *relay) connect(observed server.Observation, life fx.Lifecycle) (err error) {
	r.upstream, err = stream.NewClient(r.dial, stream.ClientOptions{
		Conn: stream.Options{Name: "upstream", Observer: observed.Observer},
	})
	if err == nil {
		life.Append(fx.StopHook(r.upstream.Shutdown))
	}
	return err
}

// forward asks the service behind. A rejection is passed on as it came; any other failure
// is the relay's own, of which the caller learns no more than that there was one.
func (r *relay) forward(ctx context.Context, req stream.Request) (stream.Response, error) {
	resp, err := r.upstream.Call(ctx, stream.Request{Type: req.Type, Flags: req.Flags, Payload: req.Payload})
	if e := (*stream.Error)(nil); errors.As(err, &e) && e.Outcome == stream.OutcomeRejected {
		return stream.Response{}, &stream.Rejection{Flags: e.Flags, Payload: e.Payload}
	}
	return resp, err
}
