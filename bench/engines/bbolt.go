package main

import (
	"bytes"
	"context"
	"path/filepath"
	"sync"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// boltBuffer is how many bytes are gathered for a transaction, as many as the
// other engines gather in memory.
const boltBuffer = 32 << 20

// boltEngine gathers what is put until Sync, since each transaction is one fsync at
// least, and writes a whole path of the tree. Without fsync (NoSync) a loss of power may
// cost the file as a whole.
type boltEngine struct {
	db *bbolt.DB

	mu      sync.RWMutex
	pending map[store.Code][]byte
	bytes   int
}

var boltBucket = []byte("blocks")

func openBolt(dir string) (engine, error) {
	db, err := bbolt.Open(filepath.Join(dir, "bolt"), 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(boltBucket)
		return err
	})
	return &boltEngine{db: db, pending: make(map[store.Code][]byte)}, err
}

func (e *boltEngine) Put(_ context.Context, code store.Code, data []byte) (bool, error) {
	if _, err := e.Get(context.Background(), code); err == nil {
		return false, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pending[code] = bytes.Clone(data)
	if e.bytes += len(data); e.bytes >= boltBuffer {
		return true, e.write()
	}
	return true, nil
}

// write commits what is pending. e.mu is held.
func (e *boltEngine) write() error {
	err := e.db.Update(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(boltBucket)
		for code, data := range e.pending {
			if err := bucket.Put(code.Hash(), data); err != nil {
				return err
			}
		}
		return nil
	})
	clear(e.pending)
	e.bytes = 0
	return err
}

func (e *boltEngine) Sync(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.write()
}

func (e *boltEngine) Get(_ context.Context, code store.Code) (data []byte, err error) {
	e.mu.RLock()
	data, there := e.pending[code]
	e.mu.RUnlock()
	if there {
		return bytes.Clone(data), nil
	}
	err = e.db.View(func(tx *bbolt.Tx) error {
		value := tx.Bucket(boltBucket).Get(code.Hash())
		if value == nil {
			return store.ErrMissing
		}
		data = bytes.Clone(value)
		return nil
	})
	return data, err
}

func (e *boltEngine) Close() error {
	if err := e.Sync(context.Background()); err != nil && err != bolterrors.ErrDatabaseNotOpen {
		return err
	}
	return e.db.Close()
}
