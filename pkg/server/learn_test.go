package server

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/fx/fxtest"

	"github.com/pktsvc/pktsvc/pkg/flight"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// What is slow is learned from time to time, until the server ends.
func TestThresholdsAreLearned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := flight.New(flight.Options{})
		if err != nil {
			t.Fatal(err)
		}
		life := fxtest.NewLifecycle(t)
		learn(r, life)
		life.RequireStart()
		near, far := net.Pipe()
		far.Close()
		conn, err := stream.NewConn(near, stream.Options{})
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		for range 10 {
			r.ObserveEnds(conn, stream.RoleServer, make([]stream.End, 100))
		}
		time.Sleep(learnInterval - time.Millisecond)
		if got := r.SlowFrom(0); got != flight.DefaultSlow {
			t.Errorf("%v before it can have been learned", got)
		}
		time.Sleep(2 * time.Millisecond)
		if got := r.SlowFrom(0); got != flight.MinLearned {
			t.Errorf("%v", got)
		}
		life.RequireStop()
	})
}
