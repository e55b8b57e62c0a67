//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// resizes tells when the window of the terminal may have another size.
func resizes() (_ <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGWINCH)
	return c, func() { signal.Stop(c) }
}
