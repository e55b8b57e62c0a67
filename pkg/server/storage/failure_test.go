package storage

import (
	"errors"
	"testing"

	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// breaking is a backend that has failed when the channel is closed.
type breaking struct {
	store.Backend
	failed chan struct{}
}

func (b breaking) Failed() <-chan struct{} { return b.failed }
func (breaking) Err() error                { return errors.New("broken") }

// asked is an fx.Shutdowner that tells of each time it is asked.
type asked chan struct{}

func (a asked) Shutdown(...fx.ShutdownOption) error {
	a <- struct{}{}
	return nil
}

// A store that has failed for good ends the program, once, and only then.
func TestFailureEndsTheProgram(t *testing.T) {
	end := make(asked, 2)
	b := breaking{failed: make(chan struct{})}
	w := watchFailure(b, zap.NewNop(), end)
	w.start()
	w.stop()
	if len(end) > 0 {
		t.Error("the end of a store that works ends the program")
	}

	w = watchFailure(b, zap.NewNop(), end)
	w.start()
	close(b.failed)
	<-end
	w.stop()
	if len(end) > 0 {
		t.Error("the program is ended twice")
	}

	w = watchFailure(store.NewMemory(store.SHA1, 0), zap.NewNop(), end) // which cannot fail
	w.start()
	w.stop()
}
