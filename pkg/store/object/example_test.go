package object_test

import (
	"context"
	"fmt"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/object"
)

func ExampleParseURL() {
	o, err := object.ParseURL("s3://blocks/main?endpoint=http://127.0.0.1:9000")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(o.Bucket, o.Prefix, o.Endpoint)

	_, err = object.ParseURL("s3://key:secret@blocks")
	fmt.Println(err)
	// Output:
	// blocks main http://127.0.0.1:9000
	// credentials do not belong into a URL; they are taken from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
}

// A service for a store that other processes serve, too.
func ExampleOpen() {
	options, err := object.ParseURL("s3://blocks/main?endpoint=http://127.0.0.1:9000")
	if err != nil {
		fmt.Println(err)
		return
	}
	options.Class = store.DefaultClass
	backend, err := object.Open(context.Background(), options)
	if err != nil {
		fmt.Println(err)
		return
	}
	service := store.NewService(backend, store.Options{})
	defer service.Close() // closes the backend
	_ = service.Mux()     // for a server, or a connection
}
