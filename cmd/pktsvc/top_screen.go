package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/term"

	"github.com/pktsvc/pktsvc/pkg/top"
)

// What a terminal is told. Lines that are too long are not to go on in the next one: the
// window may have become smaller since they were made.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l"
	leaveScreen = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
	toTop       = "\x1b[H"
	endLine     = "\x1b[0m\x1b[K"
	clearRest   = "\x1b[J"
)

var styles = map[top.Style]string{top.Bold: "\x1b[1m", top.Title: "\x1b[7m", top.Alarm: "\x1b[1;31m"}

// runScreen shows the view on a terminal until it is quit. keys is where those are read,
// if it is a terminal, too.
func (v *liveView) runScreen(ctx context.Context, first *top.Sample, keys, out *os.File) error {
	at, err := v.admin.url("", nil)
	if err != nil {
		return exitError{exitUsage, err}
	}
	s := &top.Screen{Server: at.Host, Every: v.every, Order: v.order}
	s.Show(&top.Interval{Now: first.Totals.Now, Figures: top.Between(nil, first)})
	return onScreen(keys, out, func() error { return v.showScreen(ctx, s, first, keys, out) })
}

// onScreen runs f with the terminal's second screen, and keys that come one by one. The
// terminal is as before when it returns or panics.
func onScreen(keys, out *os.File, f func() error) error {
	if keys != nil && term.IsTerminal(int(keys.Fd())) {
		before, err := term.MakeRaw(int(keys.Fd()))
		if err != nil {
			return err
		}
		defer term.Restore(int(keys.Fd()), before) //nolint:errcheck // what could be done?
	}
	defer io.WriteString(out, leaveScreen) //nolint:errcheck // as above
	if _, err := io.WriteString(out, enterScreen); err != nil {
		return err
	}
	return f()
}

// showScreen has all that happens come to one goroutine, which alone touches the screen.
func (v *liveView) showScreen(ctx context.Context, s *top.Screen, first *top.Sample, keys, out *os.File) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		intervals = make(chan *top.Interval)
		ended     = make(chan error, 1)
		panicked  = make(chan any, 2)
		pressed   = make(chan rune)
	)
	// A panic elsewhere than here would end the program with the terminal as it is.
	guarded := func(f func()) {
		defer func() {
			if p := recover(); p != nil {
				panicked <- fmt.Sprintf("%v\n%s", p, debug.Stack())
			}
		}()
		f()
	}
	go guarded(func() {
		ended <- top.Follow(ctx, first, v.every, v.times, v.poll, func(i *top.Interval) error {
			select {
			case intervals <- i:
			case <-ctx.Done():
			}
			return nil
		})
	})
	if keys != nil && term.IsTerminal(int(keys.Fd())) {
		// A read of a terminal cannot be called off: it ends with the program.
		go guarded(func() { readKeys(ctx, keys, pressed) })
	}
	resized, stop := resizes()
	defer stop()
	for {
		if err := draw(s, out); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			return err
		case p := <-panicked:
			panic(p)
		case i := <-intervals:
			s.Show(i)
		case key := <-pressed:
			if s.Press(key) {
				return nil
			}
		case <-resized:
		}
	}
}

// The size of a window that cannot be asked for.
const defaultColumns, defaultRows = 80, 24

// draw writes the whole screen at once, so that it does not flicker.
func draw(s *top.Screen, out *os.File) error {
	columns, rows, err := term.GetSize(int(out.Fd()))
	if err != nil || columns <= 0 || rows <= 0 {
		columns, rows = defaultColumns, defaultRows
	}
	_, err = io.WriteString(out, frame(s.Lines(columns, rows)))
	return err
}

func frame(lines []top.Line) string {
	var b strings.Builder
	b.WriteString(toTop)
	for i, l := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(styles[l.Style] + l.Text + endLine)
	}
	b.WriteString(clearRest)
	return b.String()
}
