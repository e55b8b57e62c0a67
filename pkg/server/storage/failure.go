package storage

import (
	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// failing is a backend that can break down for good.
type failing interface {
	Failed() <-chan struct{}
	Err() error
}

// watcher ends the app when its backend has failed.
type watcher struct {
	failed <-chan struct{} // nil: never
	react  func()

	stopped, ended chan struct{}
}

func watchFailure(b store.Backend, log *zap.Logger, end fx.Shutdowner) *watcher {
	w := &watcher{stopped: make(chan struct{}), ended: make(chan struct{})}
	if f, ok := b.(failing); ok {
		w.failed = f.Failed()
		w.react = func() {
			log.Error("the store has failed, and the program ends", zap.Error(f.Err()))
			if err := end.Shutdown(fx.ExitCode(1)); err != nil {
				log.Error("it cannot be ended in order", zap.Error(err))
			}
		}
	}
	return w
}

func (w *watcher) start() {
	go func() {
		defer close(w.ended)
		select {
		case <-w.failed:
			w.react()
		case <-w.stopped:
		}
	}()
}

func (w *watcher) stop() {
	close(w.stopped)
	<-w.ended
}
