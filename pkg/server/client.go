package server

import (
	"context"
	"fmt"

	"go.uber.org/dig"
	"go.uber.org/fx"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Client observes the connections of a program that calls and does not serve,
// with the same metrics, traces, logs and admin server as those of a server. Its
// methods must not be called concurrently, except Observer.
type Client struct {
	app      *fx.App
	observer stream.Observer
	admin    *AdminServer
}

// NewClient sets up the observation of calls. Of the configuration Listen, Drain
// (but Telemetry) and Limits have no meaning. The services lend their names for
// request types. The error says what is wrong; without one, call Start, and Stop
// after it. It makes its logger the one that OpenTelemetry, in all of the process,
// tells of errors.
func NewClient(cfg Config, services ...Service) (*Client, error) {
	c := new(Client)
	options := []fx.Option{
		fx.Supply(cfg),
		fx.StopTimeout(cfg.StopTimeout()),
		appLogger,
		clientModule,
		fx.Invoke(func(o Observation, admin *AdminServer) { c.observer, c.admin = o.Observer, admin }),
	}
	for _, s := range services {
		options = append(options, fx.Provide(AsService(func() Service { return s })))
	}
	c.app = fx.New(options...)
	if err := c.app.Err(); err != nil {
		return nil, fmt.Errorf("set up: %w", dig.RootCause(err))
	}
	return c, nil
}

// Observer is what the options of every connection get.
func (c *Client) Observer() stream.Observer { return c.observer }

// AdminURL is the address of the admin server as an http URL; empty if it is
// off or not started.
func (c *Client) AdminURL() string { return c.admin.URL() }

// Start opens the admin server. An error is a [*ListenError].
func (c *Client) Start(ctx context.Context) error { return c.app.Start(ctx) }

// Stop closes the admin server and exports the last spans, within the drain
// budget for telemetry.
func (c *Client) Stop(ctx context.Context) error { return c.app.Stop(ctx) }
