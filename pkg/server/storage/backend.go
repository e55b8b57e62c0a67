package storage

import (
	"context"
	"errors"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/disk"
	"github.com/pktsvc/pktsvc/pkg/store/object"
)

// opener is what opens a backend.
type opener func(log *zap.Logger) (store.Backend, error)

var errBackend = errors.New("there is no other kind of backend")

// openTimeout is how long an object store may take to tell what the store is.
const openTimeout = time.Minute

// opener returns what opens the backend of the settings, which have their defaults,
// with blocks of a class.
func (s *Settings) opener(class store.Class) (opener, error) {
	switch scheme, rest, _ := strings.Cut(s.Backend, ":"); {
	case scheme == "memory" && rest == "":
		return func(*zap.Logger) (store.Backend, error) { return store.NewMemory(class, 0), nil }, nil
	case scheme == "disk" && rest == "":
		return func(log *zap.Logger) (store.Backend, error) {
			engine := log.Named("engine")
			return disk.Open(disk.Options{
				Dir: s.Data, Class: class, Cache: int64(s.Cache), Reserve: int64(s.Reserve),
				Log:  func(line string) { engine.Debug(line) },
				Full: tellOfRoom(log),
			})
		}, nil
	case scheme == "s3":
		options, err := object.ParseURL(s.Backend)
		if err != nil {
			return nil, err
		}
		options.Class, options.Cache = class, int64(s.Cache)
		return func(*zap.Logger) (store.Backend, error) {
			ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
			defer cancel()
			return object.Open(ctx, options)
		}, nil
	}
	return nil, errBackend
}
