package main

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"
	"go.uber.org/goleak"

	"github.com/pktsvc/pktsvc/pkg/diag"
	"github.com/pktsvc/pktsvc/pkg/server"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func config() server.Config {
	cfg := server.Default()
	cfg.Listen, cfg.Admin, cfg.Log.Level = []string{"tcp://127.0.0.1:0"}, "127.0.0.1:0", "error"
	return cfg
}

func TestValidate(t *testing.T) {
	if err := fx.ValidateApp(app(config(), stream.DialNetwork("tcp", "127.0.0.1:0"))); err != nil {
		t.Fatal(err)
	}
}

// behind is the service that the relay asks, within the test. Its Sleep tells whether its
// context has a deadline, and when it has ended.
type behind struct {
	begun chan bool
	ended chan struct{}
}

func (b *behind) dial(context.Context) (io.ReadWriter, func() error, error) {
	near, far := net.Pipe()
	mux := new(stream.Mux)
	mux.HandleFunc(diag.TypeSleep, "Sleep", func(ctx context.Context, _ stream.Request) (stream.Response, error) {
		_, limited := ctx.Deadline()
		b.begun <- limited
		<-ctx.Done()
		b.ended <- struct{}{}
		return stream.Response{}, ctx.Err()
	})
	for _, typ := range []uint64{diag.TypeEcho, diag.TypeFail} {
		mux.Handle(typ, diag.Mux().Names()[typ], diag.Mux())
	}
	if _, err := stream.NewConn(far, stream.Options{Handler: mux}); err != nil {
		return nil, nil, err
	}
	return near, func() error { return errors.Join(near.Close(), far.Close()) }, nil
}

func TestApp(t *testing.T) {
	b := &behind{begun: make(chan bool), ended: make(chan struct{})}
	var packets *server.PacketServer
	running := fxtest.New(t, app(config(), b.dial), fx.Populate(&packets)).RequireStart()
	defer running.RequireStop()

	address := strings.TrimPrefix(packets.Addresses()[0], "tcp://")
	client, err := stream.NewClient(stream.DialNetwork("tcp", address), stream.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()

	resp, err := client.Call(t.Context(), stream.Request{Type: diag.TypeEcho, Flags: 3, Payload: []byte("hello")})
	if err != nil || resp.Flags != 3 || string(resp.Payload) != "hello" {
		t.Errorf("Echo: %q, flags %d, %v", resp.Payload, resp.Flags, err)
	}
	_, err = client.Call(t.Context(), stream.Request{Type: diag.TypeFail})
	if !errors.Is(err, stream.ErrRejected) {
		t.Errorf("Fail: %v, want a rejection", err)
	}

	// A caller that waits for a while only, and one that gives up.
	for _, limited := range []bool{true, false} {
		ctx, cancel := context.WithCancel(t.Context())
		if limited {
			ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		}
		call, err := client.Submit(ctx, stream.Request{Type: diag.TypeSleep})
		if err != nil {
			t.Fatal(err)
		}
		if got := await(t, b.begun); got != limited {
			t.Errorf("the handler behind the relay has a deadline: %v, want %v", got, limited)
		}
		if !limited {
			cancel()
		}
		await(t, b.ended)
		<-call.Done()
		cancel()
	}
}

// await receives what the handler behind the relay tells.
func await[T any](t *testing.T, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(10 * time.Second):
		t.Fatal("the handler behind the relay does not learn of its caller")
	}
	return v
}
