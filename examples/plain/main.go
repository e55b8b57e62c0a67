// Plain serves requests with pkg/stream alone, without a framework, until
// SIGINT or SIGTERM ends it.
//
//	go run ./examples/plain 127.0.0.1:7450
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

func main() {
	address := "127.0.0.1:7450"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ln, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", ln.Addr())
	serve(ctx, ln)
}

// serve accepts connections until ctx ends, and returns when all have ended.
func serve(ctx context.Context, ln net.Listener) {
	mux := new(stream.Mux)
	mux.HandleFunc(0, "Upper", upper)

	defer context.AfterFunc(ctx, func() { ln.Close() })()
	var conns sync.WaitGroup
	defer conns.Wait()
	for {
		nc, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			log.Print(err)
			time.Sleep(100 * time.Millisecond) // such as too many open files
			continue
		}
		conns.Go(func() {
			defer nc.Close()
			conn, err := stream.NewConn(nc, stream.Options{Handler: mux})
			if err != nil {
				log.Print(err)
				return
			}
			select {
			case <-conn.Received(): // the client has ended
			case <-ctx.Done(): // we are to end
			}
			inTime, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if err := conn.Shutdown(inTime); err != nil {
				log.Print(err)
			}
		})
	}
}

func upper(_ context.Context, req stream.Request) (stream.Response, error) {
	return stream.Text(strings.ToUpper(string(req.Payload))), nil
}
