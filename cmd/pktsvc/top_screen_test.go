//go:build unix

package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"

	"github.com/pktsvc/pktsvc/pkg/diag"
	"github.com/pktsvc/pktsvc/pkg/stream"
	"github.com/pktsvc/pktsvc/pkg/top"
)

// terminal is one that a test types on and reads what is shown.
type terminal struct {
	t         *testing.T
	near, far *os.File // of the test, of the program
	before    *term.State
	shown     string // what no call of wait has passed yet
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	near, far, err := pty.Open()
	if errors.Is(err, pty.ErrUnsupported) || errors.Is(err, fs.ErrNotExist) {
		t.Skipf("this system has no pseudo terminals: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	if err := near.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	x := &terminal{t: t, near: near, far: far}
	x.resize(100, 30)
	x.before = x.state()
	return x
}

func (x *terminal) resize(columns, rows uint16) {
	x.t.Helper()
	if err := pty.Setsize(x.near, &pty.Winsize{Cols: columns, Rows: rows}); err != nil {
		x.t.Fatal(err)
	}
}

func (x *terminal) state() *term.State {
	x.t.Helper()
	s, err := term.GetState(int(x.far.Fd()))
	if err != nil {
		x.t.Fatal(err)
	}
	return s
}

// restored says whether the terminal has its modes of the beginning.
func (x *terminal) restored() bool { return reflect.DeepEqual(x.state(), x.before) }

func (x *terminal) press(keys string) {
	x.t.Helper()
	if _, err := x.near.WriteString(keys); err != nil {
		x.t.Fatal(err)
	}
}

// wait returns when a text is shown that was not there before.
func (x *terminal) wait(text string) {
	x.t.Helper()
	buf := make([]byte, 64<<10)
	for {
		if _, rest, ok := strings.Cut(x.shown, text); ok {
			x.shown = rest
			return
		}
		n, err := x.near.Read(buf)
		if x.shown += string(buf[:n]); err != nil {
			x.t.Fatalf("%v; no %q in %q", err, text, x.shown)
		}
	}
}

// start runs the program on the terminal.
func (x *terminal) start(args ...string) *exec.Cmd {
	x.t.Helper()
	cmd := program(x.t, args...)
	cmd.Env = append(cmd.Env, "TERM=xterm")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = x.far, x.far, x.far
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		x.t.Fatal(err)
	}
	return cmd
}

// ends waits until a program has, as it should.
func (x *terminal) ends(cmd *exec.Cmd) {
	x.t.Helper()
	x.wait(leaveScreen)
	if err := cmd.Wait(); err != nil {
		x.t.Error(err)
	}
	if !x.restored() {
		x.t.Error("the terminal is not as before")
	}
}

// Keys and the window's size change what is shown, without waiting for the next poll; the
// terminal is as before at the end.
func TestTopOnTerminal(t *testing.T) {
	p := startProcess(t)
	if _, err := p.client(t, stream.ClientOptions{}).Call(t.Context(), stream.Request{Type: diag.TypeEcho}); err != nil {
		t.Fatal(err)
	}
	x := newTerminal(t)
	args := []string{"top", "--admin", p.admin, "--interval", "1h"}
	cmd := x.start(args...)
	x.wait(enterScreen)
	x.wait("pktsvc top  " + p.admin)
	x.wait("tcp-1 ")
	x.wait("sort: [1 rate]")
	if x.restored() {
		t.Error("keys are not read one by one")
	}
	x.press("4")
	x.wait("[4 p99]")
	x.press("\x1b[C")
	x.wait("[5 in]")
	x.press("r")
	x.wait("IN/s▲")
	x.press("n")
	x.wait("OUT/s▲")
	x.press("h")
	x.wait("Keys: q quits")
	x.press("t")
	x.wait("TYPE")
	x.resize(40, 30)
	x.wait("c connections" + endLine + "\r\nn next sort")
	x.press("q")
	x.ends(cmd)

	for name, end := range map[string]func(*exec.Cmd){
		"ctrl-c":  func(*exec.Cmd) { x.press("\x03") },
		"SIGTERM": func(cmd *exec.Cmd) { _ = cmd.Process.Signal(syscall.SIGTERM) }, // it runs
		"SIGHUP":  func(cmd *exec.Cmd) { _ = cmd.Process.Signal(syscall.SIGHUP) },
	} {
		t.Run(name, func(t *testing.T) {
			cmd := x.start(args...)
			x.wait("sort:")
			end(cmd)
			x.ends(cmd)
		})
	}
	x.ends(x.start("top", "--admin", p.admin, "--interval", "10ms", "--count", "3"))

	// The server goes away meanwhile.
	x.resize(100, 30)
	cmd = x.start("top", "--admin", p.admin, "--interval", "10ms")
	x.wait("sort:")
	p.stop(t)
	x.wait("no answer since")
	x.press("q")
	x.ends(cmd)
}

// Where output is no terminal, or one without a screen, nothing steers it.
func TestTerminalOf(t *testing.T) {
	x := newTerminal(t)
	t.Setenv("TERM", "xterm")
	if terminalOf(x.far) == nil || terminalOf(&strings.Builder{}) != nil || terminalOf(os.NewFile(^uintptr(0), "none")) != nil {
		t.Error("terminals are not told from others")
	}
	t.Setenv("TERM", "dumb")
	if terminalOf(x.far) != nil {
		t.Error("a dumb terminal has a screen")
	}
}

// The terminal is as before also after a panic, in whichever goroutine.
func TestScreenPanics(t *testing.T) {
	x := newTerminal(t)
	for name, f := range map[string]func() error{
		"here": func() error { panic("here") },
		"where it is polled": func() error { // no interval is no schedule
			return new(liveView).showScreen(t.Context(), new(top.Screen), new(top.Sample), nil, x.far)
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if p := recover(); p == nil {
					t.Error("the panic is not passed on")
				}
				x.wait(leaveScreen)
				if !x.restored() {
					t.Error("the terminal is not as before")
				}
			}()
			_ = onScreen(x.far, x.far, f) // it panics
		})
	}
	oh := errors.New("oh")
	if err := onScreen(x.far, x.far, func() error { return oh }); !errors.Is(err, oh) || !x.restored() {
		t.Error(err)
	}
}
