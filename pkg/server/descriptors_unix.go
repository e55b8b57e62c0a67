//go:build unix

package server

import (
	"math"
	"syscall"
)

// otherDescriptors are left to listeners, the admin server and its clients, log
// files and exporters; of few, a quarter.
const otherDescriptors = 64

// connectionsPossible is how many connections can be open at a time.
func connectionsPossible() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > math.MaxInt32 {
		return math.MaxInt32
	}
	n := int(limit.Cur)
	return max(1, n-min(otherDescriptors, n/4))
}
