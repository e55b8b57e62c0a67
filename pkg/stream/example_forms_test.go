package stream_test

import (
	"bytes"
	"context"
	"fmt"
	"net"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// The form without a goroutine that waits: a function takes the outcome.
func ExampleConn_Go() {
	left, right := net.Pipe()
	conn, _ := stream.NewConn(left, stream.Options{})
	server, _ := stream.NewConn(right, stream.Options{Handler: stream.HandlerFunc(upper)})
	defer server.Close()
	defer conn.Close()

	done := make(chan struct{})
	conn.Go(context.Background(), stream.Request{Payload: []byte("quick")}, func(resp stream.Response, err error) {
		fmt.Printf("%s %v\n", resp.Payload, err)
		close(done)
	})
	<-done
	// Output: QUICK <nil>
}

// Half-closing: this side sends nothing more, and still gets its answers.
func ExampleConn_EndSending() {
	left, right := net.Pipe()
	conn, _ := stream.NewConn(left, stream.Options{})
	server, _ := stream.NewConn(right, stream.Options{Handler: stream.HandlerFunc(upper)})
	ctx := context.Background()

	call, err := conn.Submit(ctx, stream.Request{Payload: []byte("last words")})
	if err != nil {
		panic(err)
	}
	conn.EndSending()
	<-server.Received() // the server has seen the end, and answers all the same
	resp, err := call.Wait(ctx)
	fmt.Printf("%s %v\n", resp.Payload, err)
	go server.Shutdown(ctx)
	fmt.Println(conn.Shutdown(ctx), conn.Reason())
	// Output:
	// LAST WORDS <nil>
	// <nil> shutdown
}

// Channels other than 0 have handlers of their own; one side may open a channel
// only to ask.
func ExampleOptions_channels() {
	left, right := net.Pipe()
	conn, _ := stream.NewConn(left, stream.Options{Channels: map[uint64]stream.Handler{5: nil}})
	server, _ := stream.NewConn(right, stream.Options{
		Handler: stream.HandlerFunc(upper),
		Channels: map[uint64]stream.Handler{
			5: stream.HandlerFunc(func(_ context.Context, req stream.Request) (stream.Response, error) {
				return stream.Text(fmt.Sprintf("channel %d, tag %d", req.Channel, req.Tag)), nil
			}),
		},
	})
	defer server.Close()
	defer conn.Close()

	for _, channel := range []uint64{0, 5, 6} {
		resp, err := conn.Call(context.Background(), stream.Request{Channel: channel, Payload: []byte("where?")})
		fmt.Printf("%q refused here: %t\n", resp.Payload, err != nil)
	}
	// Output:
	// "WHERE?" refused here: false
	// "channel 5, tag 2" refused here: false
	// "" refused here: true
}

// A typed request that is not waited for at once.
func ExampleMethod_Submit() {
	mux := new(stream.Mux)
	AddMethod.Handle(mux, func(_ context.Context, p Pair) (Sum, error) { return Sum(p.X + p.Y), nil })
	left, right := net.Pipe()
	conn, _ := stream.NewConn(left, stream.Options{Name: "c"})
	server, _ := stream.NewConn(right, stream.Options{Handler: mux})
	defer server.Close()
	defer conn.Close()
	ctx := context.Background()

	call, err := AddMethod.Submit(ctx, conn, Pair{20, 22})
	if err != nil {
		panic(err)
	}
	sum, err := call.Wait(ctx)
	fmt.Println(call.Name(), sum, err)
	// Output: c:2:Add 42 <nil>
}

// Writing packets without a connection: buffered by Encode, sent by Flush.
func ExampleEncoder() {
	var wire bytes.Buffer
	enc := stream.NewEncoder(&wire)
	for _, p := range []stream.Packet{
		{Kind: stream.KindRequest, Tag: 2, Type: 1, Flags: 0x55, Payload: []byte("hi")},
		{Kind: stream.KindResponse, OK: true, Tag: 2, Flags: 0x11, Payload: []byte("ih")},
	} {
		if err := enc.Encode(p); err != nil {
			panic(err)
		}
	}
	fmt.Println("before the flush:", wire.Len(), "bytes")
	if err := enc.Flush(); err != nil {
		panic(err)
	}
	fmt.Printf("% x\n", wire.Bytes())
	// Output:
	// before the flush: 0 bytes
	// 06 02 82 56 02 68 69 05 02 81 0c 69 68
}
