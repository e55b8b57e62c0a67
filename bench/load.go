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
	results, err := load(o, p, s)
	if err := errors.Join(err, s.stop()); err != nil {
		return err
	}
	lines := json.NewEncoder(w)
	for _, f := range results {
		if err := lines.Encode(Result{Peer: o.peer, Cell: cell{Size: o.size, Callers: o.callers, Conns: o.conns}, figures: f}); err != nil {
			return err
		}
	}
	return nil
}

// load measures one run, or both of a peer that is switched.
func load(o options, p Peer, s *serving) ([]figures, error) {
	a := asking{failed: make(chan error, 1)}
	if err := a.start(o, p, s.addr); err != nil {
		return nil, err
	}
	if o.switched {
		p, err := lookupSwitched(o.peer)
		if err != nil {
			return nil, err
		}
		both, err := a.measureSwitched(o, p, s)
		return both[:], err
	}
	f, err := a.measure(s, o.warm, func() (time.Duration, error) {
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
	return []figures{f}, err
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
	var t tally
	err = t.during(s, during)
	a.turns.to(stopping)
	if err := errors.Join(err, a.wait()); err != nil {
		return f, err
	}
	t.takeAll(a)
	return t.figures()
}

// tally is what has been counted so far.
type tally struct {
	histogram
	took           time.Duration
	client, server usage
}

// during adds what both sides use while f has calls counted, which returns for how long.
func (t *tally) during(s *serving, f func() (time.Duration, error)) error {
	server, err := s.usage()
	if err != nil {
		return err
	}
	client := ownUsage()
	took, err := f()
	t.took += took
	t.client.add(ownUsage(), client)
	after, usageErr := s.usage()
	t.server.add(after, server)
	return errors.Join(err, usageErr)
}

// takeAll takes the calls that are counted. Those that ask without waiting have stopped.
func (t *tally) takeAll(a *asking) {
	for _, h := range append(a.pipes, &a.shared) {
		t.take(h)
	}
}

func (t *tally) figures() (f figures, err error) {
	n := float64(t.count())
	if n == 0 {
		return f, errors.New("no call was completed")
	}
	f.Ops = n / t.took.Seconds()
	f.P50, f.P99, f.P999 = t.quantile(.5), t.quantile(.99), t.quantile(.999)
	f.ClientCPU, f.ServerCPU = t.client.CPU/n, t.server.CPU/n
	f.ClientAllocs, f.ServerAllocs = float64(t.client.Mallocs)/n, float64(t.server.Mallocs)/n
	f.ClientBytes, f.ServerMiB = float64(t.client.Bytes)/n, t.server.PeakMiB
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
