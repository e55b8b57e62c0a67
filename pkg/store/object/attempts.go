package object

import (
	"context"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// attempt makes a request until it is answered, up to b.Tries times, and not longer
// than ctx lasts. do is given a context for one request. The error says what was
// tried, on what, and matches the condition.
func (b *bucket) attempt(ctx context.Context, what, key string, do func(context.Context) error) error {
	tries := 0
	_, err := backoff.Retry(ctx, func() (none struct{}, err error) {
		if tries++; tries > 1 {
			b.counts.retries.Add(1)
		}
		again, err := b.once(ctx, do)
		if err != nil && !again {
			err = backoff.Permanent(err)
		}
		return none, err
	}, backoff.WithMaxTries(uint(b.Tries)), backoff.WithMaxElapsedTime(0), backoff.WithBackOff(&backoff.ExponentialBackOff{ //nolint:gosec // not negative
		InitialInterval: b.Wait, MaxInterval: 20 * b.Wait,
		Multiplier: 2, RandomizationFactor: backoff.DefaultRandomizationFactor,
	}))
	if err == nil {
		return nil
	}
	if tries > 1 {
		what = fmt.Sprintf("%s, tried %d times", what, tries)
	}
	return fmt.Errorf("%s (%s): %w", key, what, err)
}

// once makes a request, when there are not too many, and reports whether to make it
// again.
func (b *bucket) once(ctx context.Context, do func(context.Context) error) (again bool, err error) {
	if err := b.slots.Acquire(ctx, 1); err != nil {
		return false, context.Cause(ctx)
	}
	defer b.slots.Release(1)
	limited, cancel := context.WithTimeout(ctx, b.Timeout) // not of the time spent waiting for a slot
	defer cancel()
	start := time.Now()
	err = do(limited)
	b.counts.took.Add(int64(time.Since(start)))
	switch {
	case err == nil:
		return false, nil
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case limited.Err() != nil:
		// Without what the library says, which would match the caller's deadline.
		return true, fmt.Errorf("%w: no answer within %v", ErrUnavailable, b.Timeout)
	}
	return classify(err)
}
