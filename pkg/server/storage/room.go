package storage

import (
	"go.uber.org/zap"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/instrument"
)

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
