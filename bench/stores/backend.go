package main

import (
	"context"
	"encoding/binary"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/disk"
)

// backend is the one of the service, in this process. Blocks are not hashed: they are
// put under a number that looks like a hash.
type backend struct {
	disk   *disk.Store
	always bool
}

func (*backend) name() string           { return "the backend, no network" }
func (*backend) durabilities() []string { return []string{whenFlushed, whenAnswered} }

func (b *backend) start(dir, durability string) (err error) {
	b.always = durability == whenAnswered
	b.disk, err = disk.Open(disk.Options{Dir: dir, Class: store.BLAKE3})
	return err
}

func (b *backend) stop() error { return b.disk.Close() }

// numbered is a code that is as good as random.
func numbered(n uint64) store.Code {
	return store.BLAKE3.Sum(binary.BigEndian.AppendUint64(nil, n))
}

func (b *backend) add(ctx context.Context, n uint64, block []byte) error {
	if _, err := b.disk.Put(ctx, numbered(n), block); err != nil || !b.always {
		return err
	}
	return b.disk.Sync(ctx) // the engine gathers those that come at a time
}

func (b *backend) flush(ctx context.Context) error { return b.disk.Sync(ctx) }

func (b *backend) get(ctx context.Context, n uint64, block []byte) error {
	data, err := b.disk.Get(ctx, numbered(n))
	copy(block, data)
	return err
}
