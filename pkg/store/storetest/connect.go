package storetest

import (
	"net"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Connect returns a connection to a handler, whose side an observer may see. Both
// sides have ended when the test is over.
func Connect(t testing.TB, h stream.Handler, o stream.Observer) *stream.Conn {
	t.Helper()
	near, far := net.Pipe()
	server, err := stream.NewConn(far, stream.Options{Handler: h, Observer: o})
	if err != nil {
		t.Fatal(err)
	}
	client, err := stream.NewConn(near, stream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		server.Close()
		<-client.Done()
		<-server.Done()
	})
	return client
}
