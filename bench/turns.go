package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Peers that are compared closely run side by side, each in its processes, and are measured
// in short turns, while the callers of the others wait. The machine's moods last longer than
// a turn; how its scheduler has placed a peer's threads lasts as long as the peer, so that it
// takes several of each.

// turns stop callers and let them go on.
type turns struct {
	mu      sync.Mutex
	changed sync.Cond // of phase, or waiting; L is nil until the first use
	waiting int
}

// lock makes the zero value work.
func (t *turns) lock() {
	t.mu.Lock()
	t.changed.L = &t.mu
}

func (t *turns) to(p int32) {
	t.lock()
	defer t.mu.Unlock()
	phase.Store(p)
	t.changed.Broadcast()
}

// await blocks a caller while it is somebody else's turn.
func (t *turns) await() {
	t.lock()
	defer t.mu.Unlock()
	t.waiting++
	t.changed.Broadcast()
	for phase.Load() == pausing {
		t.changed.Wait()
	}
	t.waiting--
}

// pause returns when so many callers wait.
func (t *turns) pause(callers int) error {
	late := time.AfterFunc(10*time.Second, func() { t.to(stopping) })
	defer late.Stop()
	t.to(pausing)
	t.lock()
	defer t.mu.Unlock()
	for t.waiting < callers {
		if phase.Load() != pausing {
			return errors.New("callers do not pause")
		}
		t.changed.Wait()
	}
	return nil
}

// The lines by which the process that measures is told what to do, and answers.
const (
	ready   = "ready"
	askTurn = "turn"
	askEnd  = "end"
)

// takeTurns pauses, and measures a turn of the duration for each line that asks for one,
// until asked to end. It returns how long they were in all.
func (a *asking) takeTurns(o options, r io.Reader, w io.Writer) (took time.Duration, err error) {
	if len(a.pipes) > 0 {
		return 0, errors.New("a peer without blocked callers cannot be measured in turns")
	}
	if err := a.turns.pause(a.asking); err != nil {
		return 0, err
	}
	fmt.Fprintln(w, ready)
	lines := bufio.NewScanner(r)
	for lines.Scan() && lines.Text() == askTurn {
		began := time.Now()
		a.turns.to(measuring)
		time.Sleep(o.duration / time.Duration(o.turns))
		took += time.Since(began)
		if err := a.turns.pause(a.asking); err != nil {
			return 0, err
		}
		if err := json.NewEncoder(w).Encode(took); err != nil {
			return 0, err
		}
	}
	return took, lines.Err()
}

// inTurns measures peers on a cell side by side.
func (m matrixRun) inTurns(peers []string, c cell) []Result {
	running, failed, results := make([]*serving, len(peers)), make([]error, len(peers)), make([]Result, len(peers))
	for i, peer := range peers {
		if running[i], failed[i] = startProcess(m.flags(peer, c)...); failed[i] == nil {
			hung := time.AfterFunc(time.Duration(len(peers))*(m.options.warm+m.options.duration)+runLimit, func() { _ = running[i].cmd.Process.Kill() })
			defer hung.Stop()
		}
	}
	for turn := range m.options.turns {
		for i := range peers {
			i = (i + turn) % len(peers) // another one is the first in each
			if failed[i] == nil {
				failed[i] = running[i].ask(askTurn, new(time.Duration))
			}
		}
	}
	for i, s := range running {
		if failed[i] == nil {
			failed[i] = s.ask(askEnd, &results[i])
		}
		if s != nil {
			failed[i] = errors.Join(failed[i], s.stop())
		}
		if failed[i] != nil {
			results[i] = Result{Err: failed[i].Error()}
		}
	}
	return results
}
