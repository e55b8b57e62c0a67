package disk_test

import (
	"context"
	"fmt"
	"os"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/disk"
)

func Example() {
	dir, err := os.MkdirTemp("", "store")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	blocks, err := disk.Open(disk.Options{Dir: dir, Class: store.SHA1})
	if err != nil {
		fmt.Println(err)
		return
	}

	ctx := context.Background()
	hello := store.SHA1.Sum([]byte("hello"))
	if _, err := blocks.Put(ctx, hello, []byte("hello")); err != nil {
		fmt.Println(err) // such as store.ErrFull
		return
	}
	data, err := blocks.Get(ctx, hello)
	fmt.Printf("%s %v\n", data, err)

	// A service makes durable what it has answered for, shares that among its
	// callers, and closes the store. Its Mux is the handler of connections.
	service := store.NewService(blocks, store.Options{SyncAlways: true})
	fmt.Println(service.Close())
	// Output:
	// hello <nil>
	// <nil>
}
