package store

import (
	"net"
	"testing"

	"go.uber.org/goleak"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// served returns a connection to a service, which are gone when the test ends.
func served(t testing.TB, s *Service) *stream.Conn { return connected(t, s.Mux()) }

// connected returns a connection to a handler.
func connected(t testing.TB, h stream.Handler) *stream.Conn { return connectedAnd(t, h, nil) }

// connectedAnd lets an observer see what the handler's side does. It is storetest.Connect,
// which imports this package.
func connectedAnd(t testing.TB, h stream.Handler, o stream.Observer) *stream.Conn {
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
