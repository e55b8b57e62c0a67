package store_test

import (
	"context"
	"fmt"
	"net"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// A store on one end of a connection, and a client on the other.
func Example() {
	near, far := net.Pipe()
	service := store.NewService(store.NewMemory(store.SHA1, 1<<30), store.Options{})
	serving, err := stream.NewConn(far, stream.Options{Handler: service.Mux()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer serving.Close()
	conn, err := stream.NewConn(near, stream.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()

	ctx := context.Background()
	client := store.NewClient(conn, store.SHA1)
	code, err := client.Add(ctx, []byte("hello"))
	fmt.Println(code, err)
	fmt.Println(client.Flush(ctx)) // from here on a loss of power does not take it away, if the backend is durable
	data, err := client.Get(ctx, code)
	fmt.Printf("%s %v\n", data, err)
	// Output:
	// sha1:aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d <nil>
	// <nil>
	// hello <nil>
}

// A store of which a part is listed and compared by checksum.
func ExampleClient_Checksum() {
	near, far := net.Pipe()
	service := store.NewService(store.NewMemory(store.BLAKE3, 0), store.Options{})
	serving, _ := stream.NewConn(far, stream.Options{Handler: service.Mux()})
	defer serving.Close()
	conn, _ := stream.NewConn(near, stream.Options{})
	defer conn.Close()

	ctx := context.Background()
	client := store.NewClient(conn, store.BLAKE3)
	var mine []store.Code
	for _, text := range []string{"one", "two", "three"} {
		code, _ := client.Add(ctx, []byte(text))
		mine = append(mine, code)
	}
	listed, _ := client.HashCodes(ctx, store.Code{}, false, 100)
	sum, _ := client.Checksum(ctx, store.Code{}, false, 100)
	fmt.Println(len(listed) == len(mine), sum == store.ChecksumOf(store.BLAKE3, listed))
	// Output: true true
}
