package top

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"testing/synctest"
	"time"
)

// A server that goes away for two intervals, is slow to answer once, and is started anew.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		second := 0
		poll := func(ctx context.Context) (*Sample, error) {
			second++
			switch second {
			case 2, 3:
				return nil, errors.New("refused")
			case 5:
				time.Sleep(1500 * time.Millisecond) // longer than the interval
				second++
			case 8:
				s := sample(2)
				s.Totals.Started, s.Totals.Now = after(16), after(18)
				return s, nil
			}
			return sample(10 + second), nil
		}
		var got []string
		err := Follow(t.Context(), sample(10), time.Second, 7, poll, func(v *Interval) error {
			line := fmt.Sprintf("%v %s", time.Since(start), v.Error)
			if v.Figures != nil {
				line = fmt.Sprintf("%v %vs %v/s %t", time.Since(start), v.Seconds, v.Requests, v.Restarted)
			}
			got = append(got, line)
			return nil
		})
		want := []string{"1s 1s 101/s false", "2s refused", "3s refused", "4s 3s 101/s false", "6.5s 2s 101/s false", "6.5s 1s 101/s false", "7s 2s 101/s true"}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v\n%q, want\n%q", err, got, want)
		}
	})
}

func TestFollowEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shown := 0
		show := func(*Interval) error { shown++; return nil }
		answer := func(context.Context) (*Sample, error) { return sample(11), nil }
		// While it waits for the next interval.
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		if err := Follow(ctx, sample(10), time.Second, 0, answer, show); err != nil || shown != 3 {
			t.Errorf("%d shown, %v", shown, err)
		}
		cancel()
		// While it waits for an answer: that none came then is nobody's failure.
		ctx, cancel = context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		hang := func(ctx context.Context) (*Sample, error) { <-ctx.Done(); return nil, ctx.Err() }
		if err := Follow(ctx, sample(10), time.Second, 0, hang, show); err != nil || shown != 3 {
			t.Errorf("%d shown, %v", shown, err)
		}
		// When nobody reads any more.
		gone := errors.New("gone")
		if err := Follow(t.Context(), sample(10), time.Second, 0, answer, func(*Interval) error { return gone }); !errors.Is(err, gone) {
			t.Error(err)
		}
	})
}
