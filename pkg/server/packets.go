package server

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// PacketServer accepts connections on every listen URL and serves them. [Module]
// provides, starts and stops it.
type PacketServer struct {
	log      *zap.Logger
	sampled  *zap.Logger // for lines that peers can cause
	health   *health
	conns    *connections
	counters *counters
	admin    *AdminServer
	certs    *certificates
	urls     []string
	drain    DrainConfig
	reserve  time.Duration // of the stop timeout, for what stops after this

	// What every connection gets. Frozen.
	options          stream.Options
	observer         stream.Observer
	closeTimeout     time.Duration
	handshakeTimeout time.Duration
	onlyStdio        bool
	stdioEnded       func()

	mu        sync.Mutex // guards listeners
	listeners []*listener

	accepting     sync.WaitGroup // the accept loops
	watching      sync.WaitGroup // the watchdog
	shaking       sync.WaitGroup // TLS handshakes
	stopAccepting chan struct{}
	forced        context.Context // ends when connections are to end at once
	force         context.CancelFunc
}

type packetServerParams struct {
	fx.In

	Config       frozen
	Log          *zap.Logger
	Sampling     *sampling
	Health       *health
	Conns        *connections
	Counters     *counters
	Memory       *stream.Budget
	Certificates *certificates
	Authorize    Authorize `optional:"true"`
	Admin        *AdminServer
	Observer     Observation
	Services     services
	Shutdowner   fx.Shutdowner
	Lifecycle    fx.Lifecycle
}

func newPacketServer(in packetServerParams) *PacketServer {
	p := &PacketServer{
		log:              in.Log.Named("server"),
		health:           in.Health,
		conns:            in.Conns,
		counters:         in.Counters,
		admin:            in.Admin,
		certs:            in.Certificates,
		urls:             in.Config.Listen,
		drain:            in.Config.Drain,
		reserve:          in.Config.afterDrain(),
		options:          in.Config.streamOptions(),
		observer:         in.Observer.Observer,
		closeTimeout:     in.Config.Limits.CloseTimeout,
		handshakeTimeout: in.Config.Limits.HandshakeTimeout,
		onlyStdio:        slices.Equal(in.Config.Listen, []string{"stdio:"}),
		stdioEnded:       func() { _ = in.Shutdowner.Shutdown() }, // fails when the app stops already
		stopAccepting:    make(chan struct{}),
	}
	p.sampled = in.Sampling.of(p.log)
	p.options.Budget = in.Memory
	p.options.Authorize = in.Authorize
	p.options.Handler, p.options.Channels = in.Services.handlers()
	p.forced, p.force = context.WithCancel(context.Background())
	in.Lifecycle.Append(fx.Hook{OnStart: p.start, OnStop: p.stop})
	return p
}

// start opens every listener, or none: the error joins a [*ListenError] for each
// that failed.
func (p *PacketServer) start(context.Context) error {
	var errs []error
	var open []*listener
	for _, url := range p.urls {
		list, err := openListeners(url, p.certs)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		open = append(open, list...)
	}
	if len(errs) > 0 {
		for _, l := range open {
			errs = append(errs, l.close())
		}
		return errors.Join(errs...)
	}
	p.mu.Lock()
	p.listeners = open
	p.mu.Unlock()
	for _, l := range open {
		p.accepting.Go(func() { p.acceptLoop(l) })
	}
	p.health.set(stateReady)
	p.watching.Go(func() { p.watchdog(p.forced) })
	p.notify(daemon.SdNotifyReady + "\nSTATUS=serving on " + strings.Join(p.Addresses(), " "))
	p.log.Info("listening", zap.Strings("addresses", p.Addresses()), zap.String("admin", p.admin.URL()))
	return nil
}

// Addresses are the URLs that the server listens on, with their real ports, in
// the order of the configuration. There are none before the start.
func (p *PacketServer) Addresses() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var urls []string
	for _, l := range p.listeners {
		urls = append(urls, l.addr.String())
	}
	return urls
}
