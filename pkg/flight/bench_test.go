package flight

import (
	"net"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// conn is a connection that nothing happens on.
func conn(tb testing.TB, name string) *stream.Conn {
	tb.Helper()
	near, far := net.Pipe()
	c, err := stream.NewConn(near, stream.Options{Name: name, Peer: stream.Peer{Address: "192.0.2.1:5", Identity: "importer"}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close(); near.Close(); far.Close() })
	return c
}

// What a request costs that ends with 15 others, with the usual memory and a small one, and
// with a rule that it does not match.
func BenchmarkObserveEnds(b *testing.B) {
	for _, name := range []string{"default", "small", "rule"} {
		options := Options{}
		if name == "small" {
			options.Records = 1024
		}
		b.Run(name, func(b *testing.B) {
			r, err := New(options)
			if err != nil {
				b.Fatal(err)
			}
			if name == "rule" {
				if _, err := r.AddRule(RuleOptions{Match: Match{Label: "other"}}); err != nil {
					b.Fatal(err)
				}
			}
			c, ends := conn(b, "bench"), make([]stream.End, 16)
			b.ReportAllocs()
			for n := 0; n < b.N; n += len(ends) {
				r.ObserveEnds(c, stream.RoleServer, ends)
			}
		})
	}
}
