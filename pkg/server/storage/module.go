package storage

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/pktsvc/pktsvc/pkg/server"
	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/instrument"
	"github.com/pktsvc/pktsvc/pkg/tracing"
)

// Module serves a store on a channel. The store is opened before the first
// connection is accepted, and closed when the last request has been answered. When
// it fails for good the app is shut down with exit code 1: a new process finds what
// was durable.
func Module(channel uint64, settings *Settings) fx.Option {
	return fx.Module("store",
		fx.Supply(fx.Private, settings),
		fx.Provide(fx.Private, newBackend, newInstrument, newService),
		fx.Provide(server.AsService(func(s *store.Service) server.Service {
			return server.Service{Name: "store", Channel: channel, Mux: s.Mux()}
		})),
	)
}

func newBackend(settings *Settings, log *zap.Logger) (store.Backend, error) {
	settings.SetDefaults()
	class, err := store.ParseClass(settings.Hash)
	if err != nil {
		return nil, err
	}
	open, err := settings.opener(class)
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	log = log.Named("store")
	backend, err := open(log)
	if err != nil {
		return nil, err
	}
	fields := []zap.Field{
		zap.String("backend", settings.Backend), zap.Stringer("hash", backend.Class()), zap.String("sync", settings.Sync),
		zap.Duration("took", time.Since(begun)),
	}
	if settings.Backend == DefaultBackend {
		fields = append(fields, zap.String("data", settings.Data))
	}
	if m, ok := backend.(store.Measured); ok {
		fields = append(fields, zap.Uint64("blocks", m.Usage().Blocks), zap.Uint64("bytes", m.Usage().Bytes))
	}
	log.Info("the store is open", fields...)
	warnOfLittleRoom(backend, log)
	if _, err := backend.Archives(); err != nil {
		log.Warn("requests for archives are refused", zap.Error(err))
	}
	return backend, nil
}

func newInstrument(r *prometheus.Registry, provider *tracing.Provider) (*instrument.Instrument, error) {
	return instrument.New(r, instrument.Options{Provider: provider, TraceID: tracing.TraceID})
}

func newService(lc fx.Lifecycle, backend store.Backend, observed *instrument.Instrument, settings *Settings, log *zap.Logger, end fx.Shutdowner) *store.Service {
	log = log.Named("store")
	s := store.NewService(observed.Backend(backend), observed.Options(store.Options{
		SyncAlways: settings.Sync == syncAlways,
		Corrupt:    func(code store.Code) { log.Error("a block is corrupt", zap.Stringer("code", code)) },
		Mended:     func(code store.Code) { log.Info("a corrupt block has been replaced", zap.Stringer("code", code)) },
	}))
	watch := watchFailure(backend, log, end)
	lc.Append(fx.StartStopHook(watch.start, func(context.Context) error {
		watch.stop()
		return s.Close()
	}))
	return s
}
