package load

import (
	"syscall"
	"time"
)

// pause sleeps more exactly than time.Sleep, whose latest wake-up is a whole
// millisecond late. It occupies a thread. It may return early.
func pause(d time.Duration) {
	t := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&t, nil) // the caller looks at the clock
}
