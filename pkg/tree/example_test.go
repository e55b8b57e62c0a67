package tree_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/stream"
	"github.com/pktsvc/pktsvc/pkg/tree"
)

// A directory is stored, and written to another place.
func Example() {
	ctx := context.Background()
	near, far := net.Pipe()
	service := store.NewService(store.NewMemory(store.BLAKE3, 0), store.Options{})
	server, err := stream.NewConn(far, stream.Options{Handler: service.Mux()})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	conn, err := stream.NewConn(near, stream.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	client := store.NewClient(conn, store.BLAKE3)

	source, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(source)
	if err := os.WriteFile(filepath.Join(source, "greeting"), []byte("hello, world"), 0o600); err != nil {
		log.Fatal(err)
	}

	root, err := tree.Put(ctx, client, source, tree.Options{})
	if err != nil {
		log.Fatal(err)
	}
	dest := filepath.Join(source, "copy")
	if err := tree.Get(ctx, client, root, dest, tree.Options{}); err != nil {
		log.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dest, "greeting"))
	fmt.Println(string(text), err)
	// Output: hello, world <nil>
}
