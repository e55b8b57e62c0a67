package server

import (
	"errors"
	"net"
	"os"
	"sync"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// listenStdio "accepts" one stream, made of standard input and output, and then
// none. Closing that stream closes both, so that the peer sees the end.
func listenStdio() *listener {
	closed := make(chan struct{})
	closeOnce := sync.OnceFunc(func() { close(closed) })
	accepted := false
	return &listener{
		addr: address{network: "stdio"},
		accept: func() (link, error) {
			if accepted {
				<-closed
				return link{}, net.ErrClosed
			}
			accepted = true
			return link{
				stream: stream.Join(os.Stdin, os.Stdout),
				close:  func() error { return errors.Join(os.Stdout.Close(), os.Stdin.Close()) },
				peer:   "stdio",
			}, nil
		},
		close: func() error { closeOnce(); return nil },
	}
}
