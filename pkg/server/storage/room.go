package storage

import (
	"go.uber.org/zap"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/instrument"
)

// tellOfRoom says when the store becomes full, and when it is no more.
func tellOfRoom(log *zap.Logger) func(error) {
	return func(err error) {
		if err != nil {
			log.Error("the store is full, and what is added is refused", zap.Error(err))
			return
		}
		log.Info("the store has room again")
	}
}

// warnOfLittleRoom says so where a backend is full, or soon will be: less than twice
// its reserve is free.
func warnOfLittleRoom(b store.Backend, log *zap.Logger) {
	d, ok := b.(instrument.OnDisk)
	if !ok {
		return
	}
	u := d.DiskUsage()
	fields := []zap.Field{zap.Uint64("free", u.Free), zap.Uint64("disk_reserve", u.Reserve)}
	switch {
	case u.Reserve == 0: // or it is not known what is free
	case u.Free < u.Reserve:
		log.Warn("no block can be added: less than disk_reserve is free on the disk", fields...)
	case u.Free/2 < u.Reserve:
		log.Warn("the store is nearly full: less than twice disk_reserve is free on the disk", fields...)
	}
}
