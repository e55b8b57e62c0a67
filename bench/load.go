package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Result is one run.
type Result struct {
	Peer  string `json:"peer"`
	Cell  cell   `json:"cell"`
	Round int    `json:"round"`
	figures
	Err string `json:"err,omitempty"`
}

// figures are what a load has shown.
type figures struct {
	Ops          float64 `json:"ops_s"`
	P50          float64 `json:"p50_us"`
	P99          float64 `json:"p99_us"`
	P999         float64 `json:"p999_us"`
	ClientCPU    float64 `json:"client_cpu_us_op"`
	ServerCPU    float64 `json:"server_cpu_us_op"`
	ClientAllocs float64 `json:"client_allocs_op"`
	ServerAllocs float64 `json:"server_allocs_op"`
	ClientBytes  float64 `json:"client_bytes_op"`
	ServerMiB    float64 `json:"server_peak_mib"`
}

// phase of a run, the same for all callers of the process.
var phase atomic.Int32

const (
	warming = iota
	measuring
	pausing // others have their turn
	stopping
)

// measureOne starts a server, loads it and prints the result.
func measureOne(o options, w io.Writer) error {
	p, err := lookup(o.peer)
	if err != nil {
		return err
	}
	s, err := startServer(o)
	if err != nil {
		return err
	}
	result, err := load(o, p, s)
	if err := errors.Join(err, s.stop()); err != nil {
		return err
	}
	return json.NewEncoder(w).Encode(result)
}

func load(o options, p Peer, s *serving) (Result, error) {
	result := Result{Peer: o.peer, Cell: cell{Size: o.size, Callers: o.callers, Conns: o.conns}}
	a := asking{failed: make(chan error, 1)}
	if err := a.start(o, p, s.addr); err != nil {
		return result, err
	}
	var err error
	result.figures, err = a.measure(s, o.warm, func() (time.Duration, error) {
		stop, err := profile(o.clientProfile)
		if err != nil {
			return 0, err
		}
		defer stop()
		if o.turns > 0 {
			return a.takeTurns(o, os.Stdin, os.Stdout)
		}
		return counting(func() error { time.Sleep(o.duration); return nil })
	})
	return result, err
}

// counting has calls counted while a function runs, and returns for how long that was.
func counting(during func() error) (took time.Duration, err error) {
	began := time.Now()
	phase.Store(measuring)
	err = during()
	return time.Since(began), err
}

// asking is all callers.
type asking struct {
	shared  histogram    // of those that ask one by one
	pipes   []*histogram // of those that ask without waiting
	asking  int
	callers sync.WaitGroup
	failed  chan error // the first error while they are not to stop
	turns   turns
}

// start starts them.
func (a *asking) start(o options, p Peer, addr string) error {
	for range o.conns {
		if piper, ok := p.(Piper); ok {
			pipe := new(histogram)
			a.pipes = append(a.pipes, pipe)
			a.add(Recorder{histogram: pipe}, func(rec *Recorder) error { return piper.Pipe(addr, o.callers, o.size, rec) })
			continue
		}
		newCall, err := p.Dial(addr, o.callers)
		if err != nil {
			return err
		}
		for range o.callers {
			a.ask(newCall(), o.size)
		}
	}
	return nil
}

// ask adds a caller, whose request is like no other's.
func (a *asking) ask(call Call, size int) {
	req := bytes.Repeat([]byte{byte(a.asking)}, size)
	for i := range min(8, size) {
		req[i] = byte(a.asking >> i)
	}
	a.asking++
	a.add(Recorder{&a.shared, true}, func(rec *Recorder) error { return askInALoop(call, req, rec, &a.turns) })
}

func (a *asking) add(rec Recorder, f func(*Recorder) error) {
	a.callers.Go(func() {
		if err := f(&rec); err != nil && !rec.Stopped() {
			select {
			case a.failed <- err:
			default:
			}
		}
	})
}

// measure has them run warm, counts what they do while the function given has that counted,
// which returns for how long, and stops them.
func (a *asking) measure(s *serving, warm time.Duration, during func() (time.Duration, error)) (f figures, err error) {
	time.Sleep(warm)
	server0, err := s.usage()
	if err != nil {
		return f, err
	}
	client0 := ownUsage()
	took, err := during()
	a.turns.to(stopping)
	client1 := ownUsage()
	server1, usageErr := s.usage()
	if err := errors.Join(err, usageErr, a.wait()); err != nil {
		return f, err
	}
	all := new(histogram)
	for _, h := range append(a.pipes, &a.shared) {
		all.merge(h)
	}
	if all.count() == 0 {
		return f, errors.New("no call was completed")
	}
	n := float64(all.count())
	f.Ops = n / took.Seconds()
	f.P50, f.P99, f.P999 = all.quantile(.5), all.quantile(.99), all.quantile(.999)
	f.ClientCPU, f.ServerCPU = (client1.CPU-client0.CPU)/n, (server1.CPU-server0.CPU)/n
	f.ClientAllocs, f.ServerAllocs = float64(client1.Mallocs-client0.Mallocs)/n, float64(server1.Mallocs-server0.Mallocs)/n
	f.ClientBytes, f.ServerMiB = float64(client1.Bytes-client0.Bytes)/n, server1.PeakMiB
	return f, nil
}

// wait waits until all have stopped.
func (a *asking) wait() error {
	stopped := make(chan struct{})
	go func() { a.callers.Wait(); close(stopped) }()
	select {
	case <-stopped:
	case <-time.After(10 * time.Second):
		return errors.New("callers do not stop")
	}
	select {
	case err := <-a.failed:
		return err
	default:
		return nil
	}
}

var errWrongEcho = errors.New("what came back is not what was sent")

// askInALoop checks that what comes back are the caller's own bytes.
func askInALoop(call Call, req []byte, rec *Recorder, turns *turns) error {
	t := now()
	for {
		switch phase.Load() {
		case pausing:
			turns.await()
			t = now()
			continue
		case stopping:
			return nil
		}
		resp, err := call(req)
		if err != nil {
			return err
		}
		if len(resp) != len(req) || !bytes.Equal(resp[:min(16, len(req))], req[:min(16, len(req))]) {
			return errWrongEcho
		}
		t1 := now()
		rec.Add(t1 - t)
		t = t1
	}
}
