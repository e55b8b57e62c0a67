package main

import (
	"context"
	"errors"

	"github.com/dgraph-io/badger/v4"
	badgeroptions "github.com/dgraph-io/badger/v4/options"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// badgerEngine keeps blocks in Badger's value log, and syncs when it is told to.
type badgerEngine struct{ db *badger.DB }

func openBadger(dir string) (engine, error) {
	o := badger.DefaultOptions(dir).
		WithLogger(nil).
		WithSyncWrites(false).
		WithDetectConflicts(false).
		WithCompression(badgeroptions.None). // blocks are random here; it would find nothing
		WithMemTableSize(32 << 20).
		WithValueThreshold(1 << 10).
		WithBlockCacheSize(64 << 20)
	db, err := badger.Open(o)
	return badgerEngine{db}, err
}

func (e badgerEngine) Put(_ context.Context, code store.Code, data []byte) (added bool, err error) {
	key := code.Hash()
	err = e.db.Update(func(tx *badger.Txn) error {
		_, err := tx.Get(key)
		if !errors.Is(err, badger.ErrKeyNotFound) {
			return err
		}
		added = true
		return tx.Set(key, data)
	})
	return added, err
}

func (e badgerEngine) Get(_ context.Context, code store.Code) (data []byte, err error) {
	err = e.db.View(func(tx *badger.Txn) error {
		item, err := tx.Get(code.Hash())
		if err != nil {
			return err
		}
		data, err = item.ValueCopy(nil)
		return err
	})
	return data, err
}

func (e badgerEngine) Sync(context.Context) error { return e.db.Sync() }

func (e badgerEngine) Close() error { return e.db.Close() }
