package main

import (
	"context"
	"fmt"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// engine is what is measured of a store.Backend, with its promises.
type engine interface {
	Put(ctx context.Context, code store.Code, data []byte) (added bool, err error)
	Get(ctx context.Context, code store.Code) ([]byte, error)
	Sync(ctx context.Context) error
	Close() error
}

func openEngine(name, dir string) (engine, error) {
	switch name {
	case "pebble":
		return openPebble(dir)
	case "bbolt":
		return openBolt(dir)
	case "badger":
		return openBadger(dir)
	}
	return nil, fmt.Errorf("there is no engine %q; there are pebble, bbolt and badger", name)
}
