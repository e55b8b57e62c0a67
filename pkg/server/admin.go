package server

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/prometheus/exporter-toolkit/web"
	"go.uber.org/fx"
	"go.uber.org/zap"
	"go.yaml.in/yaml/v3"
	"golang.org/x/net/netutil"

	"github.com/pktsvc/pktsvc/pkg/server/page"
)

// Limits of the admin server. Writing takes as long as the longest profile that
// is asked for, which net/http/pprof bounds by the write timeout.
const (
	adminReadTimeout  = 10 * time.Second
	adminWriteTimeout = 5 * time.Minute
	adminIdleTimeout  = 2 * time.Minute
	adminMaxHeader    = 64 << 10
	adminMaxBody      = 64 << 10
	adminConnections  = 32 // further ones wait in the backlog
)

// AdminServer is the HTTP server for operators and their tools: metrics, health,
// listings, profiles. [Module] provides, starts and stops it. It may be off.
type AdminServer struct {
	log     *zap.Logger
	sampled *zap.Logger // for lines that clients can cause
	target  string      // HOST:PORT to listen on; empty if it is off
	config  string      // web configuration file; empty if there is none
	token   bool        // an admin token is asked for
	handler http.Handler

	mu     sync.Mutex // guards all below
	http   *http.Server
	addr   net.Addr
	scheme string
	done   chan struct{} // closed when serving has ended
}

func newAdminServer(cfg frozen, log *zap.Logger, sampling *sampling, pages pages, life fx.Lifecycle) *AdminServer {
	log = log.Named("admin")
	a := &AdminServer{log: log, sampled: sampling.of(log), target: cfg.Admin, config: cfg.AdminWebConfig, token: cfg.AdminToken != "", handler: pages.handler(cfg.AdminToken)}
	if a.target != "" {
		life.Append(fx.Hook{OnStart: a.start, OnStop: a.stop})
	}
	return a
}

func (a *AdminServer) start(context.Context) error {
	secure, users, err := readWebConfig(a.config)
	if err != nil {
		return err
	}
	if users && a.token {
		return errors.New("admin_token and the users of admin_web_config exclude each other, as both are sent in the header Authorization: choose one")
	}
	ln, err := net.Listen("tcp", a.target)
	if err != nil {
		return &ListenError{URL: "http://" + a.target, Err: err}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.addr, a.scheme, a.done = ln.Addr(), "http", make(chan struct{})
	if secure {
		a.scheme = "https"
	}
	a.http = &http.Server{
		Handler:           a.handler,
		ReadHeaderTimeout: adminReadTimeout,
		ReadTimeout:       adminReadTimeout,
		WriteTimeout:      adminWriteTimeout,
		IdleTimeout:       adminIdleTimeout,
		MaxHeaderBytes:    adminMaxHeader,
		ErrorLog:          zap.NewStdLog(a.sampled),
	}
	// Streams end when the server does, which waits for all that is under way.
	streams, end := context.WithCancel(context.Background())
	a.http.BaseContext = func(net.Listener) context.Context { return streams }
	a.http.RegisterOnShutdown(end)
	if tcp, ok := ln.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() && a.config == "" {
		a.log.Warn("the admin server can be reached from other hosts, in the clear; admin_web_config gives it TLS and users", zap.Stringer("address", ln.Addr()))
	}
	server, done := a.http, a.done
	ln = netutil.LimitListener(ln, adminConnections)
	go func() {
		defer close(done)
		if err := web.Serve(ln, server, &web.FlagConfig{WebConfigFile: &a.config}, slog.New(slog.DiscardHandler)); !errors.Is(err, http.ErrServerClosed) {
			a.log.Error("the admin server has ended", zap.Error(err))
		}
	}()
	return nil
}

func (a *AdminServer) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, adminStopTimeout)
	defer cancel()
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.http.Shutdown(ctx); err != nil {
		_ = a.http.Close() // a long profile, say: not worth an unclean exit
	}
	<-a.done
	return nil
}

// Address is the real HOST:PORT, or empty when the server is off or not started.
func (a *AdminServer) Address() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.addr == nil {
		return ""
	}
	return a.addr.String()
}

// URL is the address as an http URL, or empty.
func (a *AdminServer) URL() string {
	if addr := a.Address(); addr != "" {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.scheme + "://" + addr
	}
	return ""
}

// readWebConfig reports whether a web configuration file, which may be none, asks
// for TLS, and for users. An error says what is wrong in it.
func readWebConfig(path string) (secure, users bool, err error) {
	if path == "" {
		return false, false, nil
	}
	if err := web.Validate(path); err != nil {
		return false, false, fmt.Errorf("admin_web_config %s: %w", path, err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return false, false, err
	}
	var file struct {
		TLS   map[string]any    `yaml:"tls_server_config"`
		Users map[string]string `yaml:"basic_auth_users"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		return false, false, fmt.Errorf("admin_web_config %s: %w", path, err)
	}
	return len(file.TLS) > 0, len(file.Users) > 0, nil
}

// adminPage is one path of the admin server.
type adminPage struct {
	path  string
	about string
	serve http.Handler
	open  bool // needs no token
}

type pages []adminPage

// handler routes to the pages, asks for the token, and refuses what a web page
// of another origin might send.
func (ps pages) handler(token Secret) http.Handler {
	mux := http.NewServeMux()
	root{page.NewHandler(), ps}.register(mux)
	for _, p := range ps {
		h := p.serve
		if !p.open {
			h = requireToken(token, h)
		}
		mux.Handle(p.path, h)
	}
	protected := http.NewCrossOriginProtection().Handler(http.MaxBytesHandler(mux, adminMaxBody))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		protected.ServeHTTP(w, r)
	})
}

func requireToken(token Secret, next http.Handler) http.Handler {
	if token == "" {
		return next
	}
	want := []byte("Bearer " + string(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), want) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "this page needs the admin token: Authorization: Bearer TOKEN", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // fails only when the client has gone
}

func badRequest(w http.ResponseWriter, err error) {
	writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
}
