package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// Point is one measurement of -scale.
type Point struct {
	Part  string `json:"part"`
	Peer  string `json:"peer"`
	Round int    `json:"round"`
	X     int    `json:"x"` // what the part varies: connections, callers, bytes or requests
	figures
	Opened float64 `json:"opened_s,omitempty"` // connections per second
	Memory memory  `json:"memory,omitzero"`
	Err    string  `json:"err,omitempty"`
}

// memory is the server's, but for Client, after it has settled, but for Before.
type memory struct {
	Resident   float64 `json:"resident_mib"`
	Before     float64 `json:"before_mib"`
	Heap       float64 `json:"heap_mib"`
	Stack      float64 `json:"stack_mib"`
	Goroutines int     `json:"goroutines"`
	Client     float64 `json:"client_mib"`
}

// scaleRun measures every peer on every task of every part, round by round and one
// after the other, each in two processes of its own.
type scaleRun struct {
	options  options
	peers    []string
	parts    []string
	rounds   int
	idle     []int // counts of connections, rising
	storm    int   // connections
	requests int   // on one connection, for the part that ages it
	curves   []curve
	out      string // a file; empty: standard output
}

func (m scaleRun) run() error { return writeTo(m.out, m.measure) }

func (m scaleRun) measure(w io.Writer) error {
	tasks := m.tasks()
	if len(tasks) == 0 {
		return fmt.Errorf("there is nothing to measure in parts %q", m.parts)
	}
	for i, t := range tasks {
		points := t.inProcess()
		for _, p := range points {
			if err := json.NewEncoder(w).Encode(p); err != nil {
				return err
			}
		}
		if m.out != "" {
			last := points[len(points)-1]
			fmt.Printf("%4d of %d: %-14s %8d %-18s %10.0f calls/s %s\n", i+1, len(tasks), t.Part, last.X, t.Peer, last.Ops, last.Err)
		}
	}
	return nil
}

// tasks are in the order in which they run.
func (m scaleRun) tasks() (list []task) {
	for round := range m.rounds {
		add := func(t task) {
			t.Round, t.Warm, t.Duration, t.HeapProfile = round, m.options.warm, m.options.duration, m.options.heapProfile
			for i := range m.peers {
				t.Peer = m.peers[(i+round)%len(m.peers)] // another one is the first in each round
				list = append(list, t)
			}
		}
		if slices.Contains(m.parts, partIdle) {
			add(task{Part: partIdle, Idle: m.idle})
		}
		if slices.Contains(m.parts, partStorm) {
			add(task{Part: partStorm, X: m.storm})
		}
		for _, c := range m.curves {
			if !slices.Contains(m.parts, c.part) {
				continue
			}
			for _, x := range c.xs {
				add(task{Part: c.part, X: x, Shape: c.shape(x)})
			}
		}
	}
	if slices.Contains(m.parts, partAge) {
		list = append(list, task{Part: partAge, Peer: agedPeer, X: m.requests})
	}
	return list
}

// limit is how long a task may take, on a machine several times as slow as any.
func (t task) limit() time.Duration {
	switch t.Part {
	case partIdle:
		return time.Duration(len(t.Idle)+2)*(t.Warm+t.Duration) + 2*runLimit
	case partAge:
		return runLimit + time.Duration(t.X)*2*time.Microsecond
	}
	return 2*storms*(t.Warm+t.Duration) + runLimit
}

// inProcess runs the task in a process of its own. It returns at least one point: the
// last has the error, if there is one.
func (t task) inProcess() (points []Point) {
	fail := func(err error) []Point {
		return append(points, Point{Part: t.Part, Peer: t.Peer, Round: t.Round, X: t.X, Err: err.Error()})
	}
	self, err := os.Executable()
	if err != nil {
		return fail(err)
	}
	text, err := json.Marshal(t)
	if err != nil {
		return fail(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), t.limit())
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "-scale-task", string(text))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		var p Point
		if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
			return fail(err)
		}
		points = append(points, p)
	}
	switch {
	case ctx.Err() != nil:
		return fail(fmt.Errorf("it took more than %v", t.limit()))
	case err != nil:
		return fail(errors.New(cmp.Or(strings.TrimSpace(stderr.String()), err.Error())))
	case len(points) == 0:
		return fail(errors.New("it measured nothing"))
	}
	return points
}
