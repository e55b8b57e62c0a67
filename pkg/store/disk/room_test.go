package disk

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// The file system is asked once a second, or when much was stored, and believed until
// then.
func TestRoomAsksSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free, asked := int64(1000<<20), 0
		var failing error
		told := "" // of what, and how often
		r := room{
			reserve: DefaultReserve,
			free:    func() (int64, error) { asked++; return free, failing },
			told: func(err error) {
				if errors.Is(err, store.ErrFull) {
					told += "full "
				} else {
					told += fmt.Sprint(err, " ")
				}
			},
		}
		take := func(what string, n int, full bool, times int) {
			t.Helper()
			if err := r.take(n); errors.Is(err, store.ErrFull) != full || r.full() != full {
				t.Errorf("%s: %v, full: want %v", what, err, full)
			}
			if asked != times {
				t.Errorf("%s: asked %d times, want %d", what, asked, times)
			}
		}
		take("the first", 1, false, 1)
		for range 15 {
			take("little", 1<<20, false, 1)
		}
		free = 100 << 20
		take("much", 2<<20, true, 2)
		free = 1000 << 20
		take("soon after", 1, true, 2)
		time.Sleep(askEvery)
		take("a second later", 1, false, 3)
		free = DefaultReserve + 1
		time.Sleep(askEvery)
		take("what just fits", 1, false, 4)
		time.Sleep(askEvery)
		take("what does not", 2, true, 5)
		failing = errors.New("it does not tell")
		time.Sleep(askEvery)
		take("no answer", 1, false, 6)
		r.reserve = -1
		take("no reserve", 1<<40, false, 6)
		if want := "full <nil> full <nil> "; told != want {
			t.Errorf("told of %q, want %q", told, want)
		}
	})
}
