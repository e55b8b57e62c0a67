package stream_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// serve accepts connections and serves each until its peer has ended.
func serve(ln net.Listener, h stream.Handler) {
	for {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer nc.Close()
			conn, err := stream.NewConn(nc, stream.Options{Handler: h})
			if err != nil {
				return
			}
			<-conn.Received() // the peer has ended; what it asked is still answered, in time
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			conn.Shutdown(ctx)
		}()
	}
}

// upper is a handler in its plainest form.
func upper(_ context.Context, req stream.Request) (stream.Response, error) {
	return stream.Text(strings.ToUpper(string(req.Payload))), nil
}

// A client over a stream that it dialled itself.
func ExampleConn_Call() {
	ln, _ := net.Listen("tcp", "127.0.0.1:0")
	defer ln.Close()
	go serve(ln, stream.HandlerFunc(upper))

	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		panic(err)
	}
	defer nc.Close()
	conn, err := stream.NewConn(nc, stream.Options{})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	resp, err := conn.Call(ctx, stream.Request{Type: 1, Payload: []byte("hello")})
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s\n", resp.Payload)
	fmt.Println(conn.Shutdown(ctx))
	// Output:
	// HELLO
	// <nil>
}

// A server that chooses handlers by request type, and its not-ok answers.
func ExampleMux() {
	mux := new(stream.Mux)
	mux.HandleFunc(0, "Echo", func(_ context.Context, req stream.Request) (stream.Response, error) {
		return stream.Response{Flags: req.Flags, Payload: req.Payload}, nil
	})
	mux.HandleFunc(1, "Fail", func(context.Context, stream.Request) (stream.Response, error) {
		return stream.Response{}, errors.New("details that do not cross the wire")
	})
	mux.HandleFunc(2, "Refuse", func(context.Context, stream.Request) (stream.Response, error) {
		return stream.Response{}, stream.Reject("not on a %s", "Monday")
	})

	ln, _ := net.Listen("tcp", "127.0.0.1:0")
	defer ln.Close()
	go serve(ln, mux)
	client, _ := stream.NewClient(stream.DialNetwork("tcp", ln.Addr().String()), stream.ClientOptions{})
	defer client.Close()

	for typ := range uint64(4) {
		resp, err := client.Call(context.Background(), stream.Request{Type: typ, Flags: 5, Payload: []byte("abc")})
		if errors.Is(err, stream.ErrRejected) {
			e, _ := errors.AsType[*stream.Error](err) // every error of a call is one
			fmt.Printf("type %d: not ok: %s\n", typ, e.Payload)
			continue
		}
		fmt.Printf("type %d: flags %d, %s\n", typ, resp.Flags, resp.Payload)
	}
	// Output:
	// type 0: flags 5, abc
	// type 1: not ok: exception during handler
	// type 2: not ok: not on a Monday
	// type 3: not ok: exception during handler
}

// Both ends ask and answer over one connection.
func ExampleConn_bothSides() {
	left, right := net.Pipe()
	a, _ := stream.NewConn(left, stream.Options{Name: "left", Handler: stream.HandlerFunc(upper)})
	b, _ := stream.NewConn(right, stream.Options{
		Name: "right",
		// A handler may ask back before it answers.
		Handler: stream.HandlerFunc(func(ctx context.Context, req stream.Request) (stream.Response, error) {
			return req.Conn.Call(ctx, stream.Request{Payload: append([]byte("you said "), req.Payload...)})
		}),
	})
	ctx := context.Background()

	resp, err := a.Call(ctx, stream.Request{Payload: []byte("hi")})
	fmt.Printf("%s %v\n", resp.Payload, err)
	go b.Shutdown(ctx)
	fmt.Println(a.Shutdown(ctx))
	// Output:
	// YOU SAID HI <nil>
	// <nil>
}

// Many requests in flight on one connection.
func ExampleConn_Submit() {
	left, right := net.Pipe()
	conn, _ := stream.NewConn(left, stream.Options{Name: "c"})
	server, _ := stream.NewConn(right, stream.Options{Handler: stream.HandlerFunc(upper)})
	defer server.Close()
	defer conn.Close()
	ctx := context.Background()

	var calls []*stream.Call
	for _, word := range []string{"one", "two", "three"} {
		call, err := conn.Submit(ctx, stream.Request{Type: 1, Flags: 5, Payload: []byte(word)})
		if err != nil {
			panic(err)
		}
		calls = append(calls, call)
	}
	for _, call := range calls {
		resp, err := call.Wait(ctx)
		fmt.Printf("%s %s %v\n", call.Name(), resp.Payload, err)
	}
	// Output:
	// c:2:rq_type=1,0b101,3bs ONE <nil>
	// c:3:rq_type=1,0b101,3bs TWO <nil>
	// c:4:rq_type=1,0b101,5bs THREE <nil>
}

// Pair is a typed request with a binary form of its own.
type Pair struct{ X, Y uint64 }

func (p Pair) AppendBinary(dst []byte) ([]byte, error) {
	return stream.AppendUint(stream.AppendUint(dst, p.X), p.Y), nil
}

func (p *Pair) UnmarshalBinary(b []byte) error {
	x, n, err := stream.ConsumeUint(b)
	if err != nil {
		return err
	}
	y, m, err := stream.ConsumeUint(b[n:])
	if err == nil && n+m != len(b) {
		err = errors.New("bytes left over")
	}
	*p = Pair{x, y}
	return err
}

// Sum travels in the response's flags alone.
type Sum uint64

// AddMethod is known to both sides.
var AddMethod = stream.Method[Pair, Sum]{
	Type: 1, Name: "Add",
	Response: stream.Codec[Sum]{
		Append: func(dst []byte, s Sum) ([]byte, uint64, error) { return dst, uint64(s), nil },
		Parse:  func(flags uint64, _ []byte) (Sum, error) { return Sum(flags), nil },
	},
}

// Typed requests: one declaration, used by both sides.
func ExampleMethod() {
	mux := new(stream.Mux)
	AddMethod.Handle(mux, func(_ context.Context, p Pair) (Sum, error) { return Sum(p.X + p.Y), nil })

	ln, _ := net.Listen("tcp", "127.0.0.1:0")
	defer ln.Close()
	go serve(ln, mux)
	client, _ := stream.NewClient(stream.DialNetwork("tcp", ln.Addr().String()), stream.ClientOptions{})
	defer client.Close()

	sum, err := AddMethod.Do(context.Background(), client, Pair{2, 40})
	fmt.Println(sum, err)
	// Output: 42 <nil>
}

// On demand: the client dials at the first call, closes when unused, and dials
// again after a lost connection.
func ExampleClient() {
	ln, _ := net.Listen("tcp", "127.0.0.1:0")
	defer ln.Close()
	go serve(ln, stream.HandlerFunc(upper))

	client, err := stream.NewClient(stream.DialNetwork("tcp", ln.Addr().String()), stream.ClientOptions{})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	resp, err := client.Call(ctx, stream.Request{Payload: []byte("on demand")})
	fmt.Printf("%s %v\n", resp.Payload, err)

	// Open holds the connection open over several calls.
	conn, release, err := client.Open(ctx)
	if err != nil {
		panic(err)
	}
	resp, err = conn.Call(ctx, stream.Request{Payload: []byte("held")})
	fmt.Printf("%s %v\n", resp.Payload, err)
	release()
	fmt.Println(client.Shutdown(ctx))
	// Output:
	// ON DEMAND <nil>
	// HELD <nil>
	// <nil>
}

// printer is an observer that wants two kinds of event.
type printer struct{}

func (printer) Events() stream.EventSet {
	return stream.Events(stream.EventCallSubmitted, stream.EventCallDone)
}
func (printer) Begin(ctx context.Context, _ *stream.Event) context.Context { return ctx }
func (printer) Observe(_ context.Context, e *stream.Event) {
	fmt.Println(e.Kind, e.Name(), e.Outcome, e.Size)
}

// An observer that follows calls.
func ExampleObserver() {
	left, right := net.Pipe()
	conn, _ := stream.NewConn(left, stream.Options{Name: "c", Observer: printer{}})
	server, _ := stream.NewConn(right, stream.Options{Handler: stream.HandlerFunc(upper)})
	defer server.Close()
	defer conn.Close()

	conn.Call(context.Background(), stream.Request{Type: 3, Label: "shout", Payload: []byte("hello")})
	// Output:
	// call_submitted c:2:shout pending 0
	// call_done c:2:shout ok 5
}

// A connection over two one-way pipes, such as a child's stdin and stdout.
func ExampleJoin() {
	fromClient, toServer := io.Pipe()
	fromServer, toClient := io.Pipe()
	server, _ := stream.NewConn(stream.Join(fromClient, toClient), stream.Options{Handler: stream.HandlerFunc(upper)})
	client, _ := stream.NewConn(stream.Join(fromServer, toServer), stream.Options{})
	ctx := context.Background()

	resp, err := client.Call(ctx, stream.Request{Payload: []byte("through pipes")})
	fmt.Printf("%s %v\n", resp.Payload, err)
	go server.Shutdown(ctx)
	fmt.Println(client.Shutdown(ctx))
	// Output:
	// THROUGH PIPES <nil>
	// <nil>
}

// Packets without a connection, as a tool that looks at recordings uses them.
func ExampleDecoder() {
	wire := []byte("\x10\x02\x82\x56\x02hello, world\x03\x00\x02\x00")
	dec := stream.NewDecoder(strings.NewReader(string(wire)))
	for {
		offset := dec.Offset()
		p, size, err := dec.Decode()
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(offset, size, p)
	}
	// Output:
	// 0 17 request channel=0 tag=2 type=1 flags=0x55 payload=12B
	// 17 4 eof channel=0 tag=0
	// EOF
}

// Numbers are big-endian groups of seven bits.
func ExampleAppendUint() {
	b := stream.AppendUint(nil, 128)
	fmt.Printf("% x, little-endian would be % x\n", b, binary.AppendUvarint(nil, 128))
	// Output: 81 00, little-endian would be 80 01
}
