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
)

// usage is what a process says about itself.
type usage struct {
	CPU     float64 // user and system, µs
	Mallocs uint64
	Bytes   uint64  // allocated since the start
	PeakMiB float64 // resident
}

func ownUsage() usage {
	var ru syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &ru)
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	us := func(t syscall.Timeval) float64 { return float64(t.Sec)*1e6 + float64(t.Usec) }
	return usage{us(ru.Utime) + us(ru.Stime), ms.Mallocs, ms.TotalAlloc, float64(ru.Maxrss) / 1024}
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
// its input ends, and answers each line of it with its usage.
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
	failed := make(chan error, 1)
	go func() { failed <- p.Serve(func(addr string) { fmt.Println(addr) }) }()
	ended := make(chan error, 1)
	go func() {
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
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

// serving is the other process, as the client's sees it.
type serving struct {
	addr string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Scanner
}

func startServer(o options) (*serving, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &serving{cmd: exec.Command(self, "-serve", "-peer", o.peer, "-server-profile", o.serverProfile)}
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
		return nil, fmt.Errorf("the server of %s did not start: %w", o.peer, s.stop())
	}
	s.addr = s.out.Text()
	return s, nil
}

func (s *serving) usage() (u usage, err error) {
	if _, err := fmt.Fprintln(s.in); err != nil {
		return u, err
	}
	if !s.out.Scan() {
		return u, fmt.Errorf("the server is gone: %w", io.ErrUnexpectedEOF)
	}
	return u, json.Unmarshal(s.out.Bytes(), &u)
}

func (s *serving) stop() error {
	_ = s.in.Close()
	return s.cmd.Wait()
}
