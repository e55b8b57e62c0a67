package e2e

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"go.uber.org/fx"

	"github.com/pktsvc/pktsvc/pkg/diag"
	"github.com/pktsvc/pktsvc/pkg/server"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// embeddedVariable makes the test binary a program that embeds the server, with
// the fault that its value names.
const embeddedVariable = "PKTSVC_E2E_EMBEDDED"

const (
	handlerPanics = "handler_panics" // type 0 panics
	neverReady    = "never_ready"    // a start hook hangs: no listener opens
	hoardsFiles   = "hoards_files"   // type 0 takes all file descriptors, again and again
	leaks         = "leaks"          // the diag service, with an echo that forgets things at times
	storesBadly   = "stores_badly"   // a store of which much fails, see store_test.go
	keepsLedger   = "keeps_ledger"   // no fault: it notes what it serves, see ledger_test.go
)

// embedding is that program. The flags are those of pktsvc serve.
func embedding(t *testing.T, fault string) program {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return program{path: path, env: []string{embeddedVariable + "=" + fault}}
}

// embedded is its main function.
func embedded() {
	flags := pflag.NewFlagSet("embedded", pflag.ExitOnError)
	server.Flags(flags)
	if err := flags.Parse(os.Args[2:]); err != nil { // behind "serve"
		os.Exit(2)
	}
	cfg, err := server.Load(server.Source{Flags: flags})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	service, options := any(panicking), []fx.Option(nil)
	switch os.Getenv(embeddedVariable) {
	case hoardsFiles:
		service = hoarding
	case leaks:
		service = leaking
	case storesBadly:
		service = storingBadly
	case keepsLedger:
		service = noting
	case neverReady:
		options = append(options, fx.StartTimeout(time.Hour), fx.Decorate(hang))
	}
	options = append(options, fx.Provide(server.AsService(service)))
	err = server.Run(server.New(cfg, options...))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(server.ExitCode(err))
}

func panicking() server.Service {
	mux := new(stream.Mux)
	mux.HandleFunc(0, "Panic", func(context.Context, stream.Request) (stream.Response, error) { panic("on purpose") })
	return server.Service{Name: "panicking", Mux: mux}
}

// hoarding gives the descriptors back at times: else Prometheus would never come
// back in, should it lose its connection.
func hoarding() server.Service {
	mux := new(stream.Mux)
	mux.HandleFunc(0, "Hoard", func(ctx context.Context, _ stream.Request) (stream.Response, error) {
		for tick := time.Tick(2 * time.Second); ; {
			var files []*os.File
			for range 2 {
				for {
					f, err := os.Open(os.DevNull)
					if err != nil {
						break
					}
					files = append(files, f)
				}
				select {
				case <-tick:
				case <-ctx.Done():
					return stream.Response{}, ctx.Err()
				}
			}
			for _, f := range files {
				f.Close()
			}
			<-tick
		}
	})
	return server.Service{Name: "hoarding", Mux: mux}
}

// leaking forgets a goroutine, a descriptor and 64 KiB with each hundredth echo.
func leaking() server.Service {
	whole, mux := diag.Mux(), new(stream.Mux)
	for typ, name := range whole.Names() {
		if typ != diag.TypeEcho {
			mux.Handle(typ, name, whole)
		}
	}
	var echoes atomic.Uint64
	mux.HandleFunc(diag.TypeEcho, "Echo", func(ctx context.Context, req stream.Request) (stream.Response, error) {
		if echoes.Add(1)%100 == 0 {
			file, err := os.Open(os.DevNull)
			if err != nil {
				return stream.Response{}, err
			}
			memory := make([]byte, 64<<10)
			go func() {
				<-make(chan struct{})
				runtime.KeepAlive(file)
				runtime.KeepAlive(memory)
			}()
		}
		return whole.Serve(ctx, req)
	})
	return server.Service{Name: "leaking", Mux: mux}
}

// hang adds a start hook that never ends, behind that of the admin server and
// before that which opens the listeners.
func hang(a *server.AdminServer, life fx.Lifecycle) *server.AdminServer {
	life.Append(fx.StartHook(func(ctx context.Context) { <-ctx.Done() }))
	return a
}
