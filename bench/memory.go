package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
)

// What a line to the server's process may ask for before it tells its usage.
const (
	askSettle = "settle"
	askHeap   = "heap"
)

// fineHeapProfile is the bytes between two samples: few enough for what each of some
// thousand connections holds.
const fineHeapProfile = 8 << 10

func prepare(what string, o options) error {
	switch what {
	case "":
	case askSettle:
		settle()
	case askHeap:
		return writeHeap(o.heapProfile)
	case askOn, askOff:
		p, err := lookupSwitched(o.peer)
		if err != nil {
			return err
		}
		p.Observe(what == askOn)
	default:
		return fmt.Errorf("the server's process does not know %q", what)
	}
	return nil
}

// settle collects and gives back what nobody holds, as a process without work does
// over some minutes: pools are empty after two collections, and each halves the
// stacks that are used by less than a quarter.
func settle() {
	runtime.GC()
	runtime.GC()
	debug.FreeOSMemory()
}

func writeHeap(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup("heap").WriteTo(f, 0), f.Close())
}

// residentMiB is 0 where there is no /proc.
func residentMiB() float64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident float64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0
	}
	return resident * float64(os.Getpagesize()) / (1 << 20)
}
