package main

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// What observation costs is measured on the same connections of the same two processes, by
// switching it on and off in short turns: two processes of one program differ by up to a
// tenth for as long as they run, which is as much as there is to see.

// Switched is a Peer whose observation can be switched while its connections carry calls.
type Switched interface {
	Peer
	Observe(on bool) // in this process
	Off() string     // the peer that it is without; empty: it is not observed
}

func lookupSwitched(peer string) (Switched, error) {
	p, err := lookup(peer)
	if s, ok := p.(Switched); ok && s.Off() != "" {
		return s, nil
	}
	return nil, cmp.Or(err, fmt.Errorf("%s has no observation to switch", peer))
}

// What a line to the server's process may ask for.
const (
	askOn  = "on"
	askOff = "off"
)

// switchTurn is short enough for the moods of a shared machine, which last longer, to fall
// on both kinds alike.
const switchTurn = 10 * time.Millisecond

// afterSwitch is how long calls go on uncounted after each switch, so that most have ended
// that had begun before.
const afterSwitch = 3 * time.Millisecond

// observe switches both sides.
func observe(p Switched, s *serving, on bool) error {
	p.Observe(on)
	ask := askOff
	if on {
		ask = askOn
	}
	_, err := s.usageAfter(ask)
	return err
}

// measureSwitched has the callers run warm, observed, and measures o.turns turns of either
// kind, which are o.duration each in all: first without observation, then with it.
func (a *asking) measureSwitched(o options, p Switched, s *serving) (by [2]figures, err error) {
	if len(a.pipes) > 0 {
		return by, errors.New("a peer without blocked callers cannot be switched")
	}
	time.Sleep(o.warm)
	var tallies [2]tally
	for turn := range 2 * o.turns {
		kind := (turn + turn/2) % 2 // off, on, on, off: what only grows falls on both alike
		if err := observe(p, s, kind == 1); err != nil {
			return by, err
		}
		time.Sleep(afterSwitch)
		err := tallies[kind].during(s, func() (time.Duration, error) {
			defer a.turns.to(warming) // not only after both sides have told their usage
			return counting(func() error { time.Sleep(o.duration / time.Duration(o.turns)); return nil })
		})
		tallies[kind].takeAll(a)
		if err != nil {
			return by, err
		}
	}
	a.turns.to(stopping)
	if err := a.wait(); err != nil {
		return by, err
	}
	for kind := range by {
		t := &tallies[kind]
		t.client.shorten(t.took) // calls went on, uncounted, while both sides told their usage
		t.server.shorten(t.took)
		if by[kind], err = t.figures(); err != nil {
			return by, err
		}
	}
	return by, nil
}

// switched measures a peer in a process of its own: without observation, then with it.
func (m matrixRun) switched(peer string, c cell) []Result {
	failed := func(err error) []Result { return []Result{{Peer: peer, Err: err.Error()}} }
	p, err := lookupSwitched(peer)
	if err != nil {
		return failed(err)
	}
	results, err := m.process(peer, c)
	switch {
	case err != nil:
		return failed(err)
	case len(results) != 2:
		return failed(fmt.Errorf("%d results of the process, want 2", len(results)))
	}
	results[0].Peer, results[1].Peer = p.Off(), peer
	return results
}
