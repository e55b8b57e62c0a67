package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"syscall"
	"time"
)

// usage is what a process says about itself.
type usage struct {
	CPU     float64 // user and system, µs
	Mallocs uint64
	Bytes   uint64 // allocated since the start
	At      time.Time
	Took    time.Duration // for which these sums are, where usages were added
	PeakMiB float64       // resident

	ResidentMiB float64 // now; 0 where the system does not tell
	HeapMiB     float64 // spans in use
	StackMiB    float64 // of goroutines
	Goroutines  int
}

// add adds what was used from one time to another. What is not a sum is that of the latter.
func (u *usage) add(to, from usage) {
	cpu, mallocs, bytes := u.CPU+to.CPU-from.CPU, u.Mallocs+to.Mallocs-from.Mallocs, u.Bytes+to.Bytes-from.Bytes
	took := u.Took + to.At.Sub(from.At)
	*u = to
	u.CPU, u.Mallocs, u.Bytes, u.Took = cpu, mallocs, bytes, took
}

// shorten makes the sums those of a part of the time, through all of which as much was used.
func (u *usage) shorten(to time.Duration) {
	part := min(1, float64(to)/float64(max(1, u.Took)))
	u.CPU *= part
	u.Mallocs, u.Bytes = uint64(part*float64(u.Mallocs)), uint64(part*float64(u.Bytes))
	u.Took = to
}

func ownUsage() usage {
	var ru syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &ru)
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	us := func(t syscall.Timeval) float64 { return float64(t.Sec)*1e6 + float64(t.Usec) }
	return usage{
		CPU: us(ru.Utime) + us(ru.Stime), Mallocs: ms.Mallocs, Bytes: ms.TotalAlloc, At: time.Now(), PeakMiB: float64(ru.Maxrss) / 1024,
		ResidentMiB: residentMiB(), HeapMiB: float64(ms.HeapInuse) / (1 << 20), StackMiB: float64(ms.StackInuse) / (1 << 20),
		Goroutines: runtime.NumGoroutine(),
	}
}

// profile writes a CPU profile until stop is called; without a path it does nothing.
func profile(path string) (stop func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() { pprof.StopCPUProfile(); _ = f.Close() }, nil
}

// serveProcess is the server's process: it prints its address, then serves until
// its input ends, and answers each line of it with its usage: after what the line
// asks for, if it is not empty.
func serveProcess(o options) error {
	p, err := lookup(o.peer)
	if err != nil {
		return err
	}
	stop, err := profile(o.serverProfile)
	if err != nil {
		return err
	}
	defer stop()
	if o.heapProfile != "" {
		runtime.MemProfileRate = fineHeapProfile
	}
	failed := make(chan error, 1)
	go func() { failed <- p.Serve(func(addr string) { fmt.Println(addr) }) }()
	ended := make(chan error, 1)
	go func() {
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			if err := prepare(in.Text(), o); err != nil {
				ended <- err
				return
			}
			if err := json.NewEncoder(os.Stdout).Encode(ownUsage()); err != nil {
				ended <- err
				return
			}
		}
		ended <- in.Err()
	}()
	select {
	case err := <-failed:
		return fmt.Errorf("%s serves no more: %w", o.peer, err)
	case err := <-ended:
		return err
	}
}

// serving is another process, the server's unless said otherwise, as the client's sees it.
type serving struct {
	addr string // the first line that it printed
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Scanner
}

func startServer(o options) (*serving, error) {
	return startProcess("-serve", "-peer", o.peer, fmt.Sprintf("-switch=%t", o.switched), "-server-profile", o.serverProfile, "-server-heap-profile", o.heapProfile)
}

// startProcess runs this program with other flags, and waits for the first line of it.
func startProcess(args ...string) (*serving, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &serving{cmd: exec.Command(self, args...)}
	s.cmd.Stderr = os.Stderr
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.out = bufio.NewScanner(out)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	if !s.out.Scan() {
		return nil, fmt.Errorf("%q did not start: %w", args, s.stop())
	}
	s.addr = s.out.Text()
	return s, nil
}

func (s *serving) usage() (usage, error) { return s.usageAfter("") }

func (s *serving) usageAfter(what string) (u usage, err error) {
	err = s.ask(what, &u)
	return u, err
}

// ask sends a line and reads the answer to it into the value given.
func (s *serving) ask(what string, into any) error {
	if _, err := fmt.Fprintln(s.in, what); err != nil {
		return err
	}
	if !s.out.Scan() {
		return fmt.Errorf("the other process is gone: %w", io.ErrUnexpectedEOF)
	}
	return json.Unmarshal(s.out.Bytes(), into)
}

func (s *serving) stop() error {
	_ = s.in.Close()
	return s.cmd.Wait()
}
