package main

import (
	"context"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestServe(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		serve(ctx, ln)
	}()

	client, err := stream.NewClient(stream.DialNetwork("tcp", ln.Addr().String()), stream.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	resp, err := client.Call(ctx, stream.Request{Payload: []byte("hello")})
	if err != nil || string(resp.Payload) != "HELLO" {
		t.Errorf("answer %q, %v", resp.Payload, err)
	}
	stop()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("serve did not end")
	}
	if nc, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		nc.Close()
		t.Error("it still listens")
	}
}
