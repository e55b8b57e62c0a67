package main

import (
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// output runs cmd, on one CPU if asked: a child has the affinity of the thread that
// starts it.
func output(cmd *exec.Cmd, pinned bool) (out []byte, err error) {
	if !pinned {
		return cmd.Output()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with its goroutine
		var cpu unix.CPUSet
		cpu.Set(runtime.NumCPU() - 1)
		if err = unix.SchedSetaffinity(0, &cpu); err == nil {
			out, err = cmd.Output()
		}
	}()
	<-done
	return out, err
}
