package logging_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/pktsvc/pktsvc/pkg/logging"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// The lines of one connection, without their fields.
func Example() {
	logger, err := logging.NewLogger(logging.LoggerOptions{
		Level:  zap.DebugLevel,
		Output: zapcore.AddSync(io.Discard), // standard error if it is left out
	})
	if err != nil {
		panic(err)
	}
	mux := new(stream.Mux)
	mux.HandleFunc(1, "Refuse", func(context.Context, stream.Request) (stream.Response, error) {
		return stream.Response{}, stream.Reject("not today")
	})
	observer := logging.New(logging.Options{
		Log:      logger.WithOptions(zap.Hooks(printLine)),
		Types:    mux.Names(),
		Slow:     time.Second,
		Activity: 10 * time.Second,
	})
	observer.Start()

	near, far := net.Pipe()
	server, _ := stream.NewConn(far, stream.Options{Handler: mux})
	client, _ := stream.NewConn(near, stream.Options{Observer: observer})
	client.Call(context.Background(), stream.Request{Type: 1})
	client.Close()
	server.Close()
	observer.Stop()
	// Output:
	// debug connection opened
	// info call rejected by the peer
	// info connection closed
	// info activity in total
}

func printLine(e zapcore.Entry) error {
	_, err := fmt.Println(e.Level, e.Message)
	return err
}

// The packet trace is switched on while a connection runs. Its lines go to a
// logger that leaves none out.
func ExampleObserver_SetTrace() {
	lines := make(map[string]int)
	logger, err := logging.NewLogger(logging.LoggerOptions{Level: zap.DebugLevel, Output: zapcore.AddSync(io.Discard)})
	if err != nil {
		panic(err)
	}
	observer := logging.New(logging.Options{
		Log:         logger.Logger,
		PacketTrace: true,
		TraceLog: logger.Unsampled.WithOptions(zap.Hooks(func(e zapcore.Entry) error {
			lines[e.Message]++
			return nil
		})),
	})
	near, far := net.Pipe()
	peer, _ := stream.NewConn(far, stream.Options{})
	conn, _ := stream.NewConn(near, stream.Options{Name: "suspect", Observer: observer})

	fmt.Println(observer.SetTrace("unknown", true))
	fmt.Println(observer.SetTrace("suspect", true))
	conn.Close()
	peer.Close()
	fmt.Println(lines["conn_closed"])
	// Output:
	// logging: no open connection is called "unknown"
	// <nil>
	// 1
}
