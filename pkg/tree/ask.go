package tree

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Store is what is asked of a store. [*store.Client] is one.
type Store interface {
	Class() store.Class
	AddAs(ctx context.Context, code store.Code, data []byte) error
	Contains(ctx context.Context, code store.Code) (bool, error)
	ContainsIndirect(ctx context.Context, code store.Code) (bool, error)
	Get(ctx context.Context, code store.Code) ([]byte, error)
	HashCodes(ctx context.Context, start store.Code, after bool, n uint64) ([]store.Code, error)
	Checksum(ctx context.Context, start store.Code, after bool, n uint64) (store.Checksum, error)
	Flush(ctx context.Context) error
}

// Pauses before a request is repeated that a store was too busy for: they double.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 3 * time.Second
	patience   = 10 // times
)

// ask asks, and asks again after a while if the store is busy or about to end: with
// many requests under way that is no reason to give up.
func ask[T any](ctx context.Context, question func(context.Context) (T, error)) (T, error) {
	pause := firstPause
	for attempt := 1; ; attempt++ {
		answer, err := question(ctx)
		if err == nil || attempt == patience || !later(err) {
			return answer, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return answer, err
		}
		pause = min(2*pause, lastPause)
	}
}

// later reports whether a rejection is one of the moment: the handler did not run.
func later(err error) bool {
	e, ok := errors.AsType[*stream.Error](err)
	if !ok || e.Outcome != stream.OutcomeRejected {
		return false
	}
	text := string(e.Payload)
	return strings.HasPrefix(text, "busy") || text == "requests no longer allowed"
}

func contains(ctx context.Context, s Store, code store.Code) (bool, error) {
	return ask(ctx, func(ctx context.Context) (bool, error) { return s.Contains(ctx, code) })
}

func get(ctx context.Context, s Store, code store.Code) ([]byte, error) {
	return ask(ctx, func(ctx context.Context) ([]byte, error) { return s.Get(ctx, code) })
}

func add(ctx context.Context, s Store, code store.Code, data []byte) error {
	_, err := ask(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, s.AddAs(ctx, code, data) })
	return err
}

func flush(ctx context.Context, s Store) error {
	_, err := ask(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, s.Flush(ctx) })
	return err
}
