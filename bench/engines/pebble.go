package main

import (
	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/disk"
)

// openPebble opens the project's own backend, as it is.
func openPebble(dir string) (engine, error) {
	return disk.Open(disk.Options{Dir: dir, Class: store.BLAKE3})
}
