//go:build !linux

package load

import "time"

// pause sleeps. It may return early.
func pause(d time.Duration) { time.Sleep(d) }
