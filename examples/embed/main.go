// Embed is a packet service inside an fx app of one's own: two services, each
// with what it needs from the app, given to the server through a value group.
//
//	go run ./examples/embed
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"

	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/pktsvc/pktsvc/pkg/server"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

func main() {
	cfg, err := server.Load(server.Source{}) // PKTSVC_LISTEN and so on
	if err == nil {
		err = server.Run(fx.New(app(cfg)))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(server.ExitCode(err))
}

// app is the whole program.
func app(cfg server.Config) fx.Option {
	return fx.Options(
		fx.NopLogger,
		fx.Supply(cfg),
		fx.StopTimeout(cfg.StopTimeout()),
		server.Module,
		fx.Provide(
			newWords,
			server.AsService(newGreeter),
			server.AsService(newDictionary),
		),
	)
}

// words is something that the app's parts share, such as a database.
type words struct {
	mu  sync.Mutex
	all map[string]string
}

func newWords() *words { return &words{all: make(map[string]string)} }

// Greet is a typed request that both sides know.
var Greet = stream.Method[string, string]{Type: 0, Name: "Greet"}

func newGreeter(log *zap.Logger) server.Service {
	mux := new(stream.Mux)
	Greet.Handle(mux, func(ctx context.Context, name string) (string, error) {
		req, _ := stream.RequestFromContext(ctx)
		log.Info("greeting", zap.String("name", name), zap.String("conn", req.Conn.Name()), zap.Uint64("tag", req.Tag))
		return "hello, " + name, nil
	})
	return server.Service{Name: "greeter", Mux: mux}
}

// Define and Look share channel 0 with Greet; their numbers differ.
var (
	Define = stream.Method[string, struct{}]{Type: 10, Name: "Define"} // WORD=MEANING
	Look   = stream.Method[string, string]{Type: 11, Name: "Look"}
)

func newDictionary(words *words) server.Service {
	mux := new(stream.Mux)
	Define.Handle(mux, func(_ context.Context, definition string) (struct{}, error) {
		word, meaning, ok := strings.Cut(definition, "=")
		if !ok {
			return struct{}{}, stream.Reject("want WORD=MEANING, got %q", definition)
		}
		words.mu.Lock()
		defer words.mu.Unlock()
		words.all[word] = meaning
		return struct{}{}, nil
	})
	Look.Handle(mux, func(_ context.Context, word string) (string, error) {
		words.mu.Lock()
		defer words.mu.Unlock()
		meaning, ok := words.all[word]
		if !ok {
			return "", stream.Reject("%q is not defined", word)
		}
		return meaning, nil
	})
	return server.Service{Name: "dictionary", Mux: mux}
}
