package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// storms are how often a storm is measured in a process: it is soon over.
const storms = 3

// storm opens and closes connections as fast as it can: alone, and beside a busy
// connection, which is measured without it, too. They come from a process of their own:
// in one with the busy callers these would wait for their turn among all that dial,
// which says nothing about the server.
func (m *measuringTask) storm() error {
	text, err := json.Marshal(task{Part: partDialer, Peer: m.Peer, X: m.X, Addr: m.server.addr})
	if err != nil {
		return err
	}
	dialer, err := startProcess("-scale-task", string(text))
	if err != nil {
		return err
	}
	for range storms {
		if err = m.oneStorm(dialer); err != nil {
			break
		}
	}
	return errors.Join(err, dialer.stop())
}

func (m *measuringTask) oneStorm(dialer *serving) error {
	var alone, beside float64
	if err := dialer.ask("", &alone); err != nil {
		return err
	}
	quiet, err := m.load(busy, m.forDuration)
	if err != nil {
		return err
	}
	stormy, err := m.load(busy, func() error { return dialer.ask("", &beside) })
	if err != nil {
		return err
	}
	return errors.Join(
		m.report(Point{Part: partStorm, X: m.X, Opened: alone}),
		m.report(Point{Part: partStormQuiet, figures: quiet}),
		m.report(Point{Part: partStormBusy, X: m.X, figures: stormy, Opened: beside}))
}

// dialStorms makes a storm for each line of its input, and answers with the connections
// per second.
func dialStorms(t task, p Peer, w io.Writer) error {
	links, err := newLinking(p, t.Addr)
	if err != nil {
		return err
	}
	fmt.Fprintln(w, "ready")
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		began := time.Now()
		err := sideBySide(t.X, func(int) error {
			c, err := links.one()
			if err != nil {
				return err
			}
			return c.close()
		})
		if err != nil {
			return err
		}
		if err := json.NewEncoder(w).Encode(float64(t.X) / time.Since(began).Seconds()); err != nil {
			return err
		}
	}
	return in.Err()
}
