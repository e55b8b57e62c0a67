package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// process is a program that a test runs. It ends with the test.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string        // path of what it writes
	done chan struct{} // closed when it has ended
	err  error         // how; valid then
}

// program says what to run.
type program struct {
	name  string
	path  string
	args  []string
	env   []string // besides PATH and HOME; nothing else is inherited
	files int      // limit of open files; 0 as it is
	log   *os.File // what it writes to, instead of a file of its own
}

// run starts a program. If the test fails the end of its log is shown.
func run(t *testing.T, p program) *process {
	t.Helper()
	path, args := p.path, p.args
	if p.files > 0 { // Go programs raise their soft limit: set the hard one
		args = append([]string{"-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, p.files), path}, args...)
		path = "/bin/sh"
	}
	log := p.log
	if log == nil {
		var err error
		if log, err = os.Create(filepath.Join(t.TempDir(), p.name+".log")); err != nil {
			t.Fatal(err)
		}
		defer log.Close()
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, p.env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // whatever becomes of the test
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	r := &process{name: p.name, cmd: cmd, log: log.Name(), done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = cmd.Wait()
	}()
	t.Cleanup(func() {
		r.kill()
		if t.Failed() {
			t.Logf("the end of the log of %s:\n%s", p.name, r.tail(5))
		}
	})
	return r
}

// signal sends a signal; a process that has ended is no error.
func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatalf("%s: %v", p.name, err)
	}
}

// kill ends the process at once and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// tail is the last lines of the log. It may be a device that can be read without an
// end, or a file that is longer than memory.
func (p *process) tail(lines int) string {
	const most = 64 << 10
	f, err := os.Open(p.log)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return fmt.Sprintf("(it is not in a file: %s, %v)", p.log, err)
	}
	text, err := io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-most), most))
	if err != nil {
		return err.Error()
	}
	all := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(bytes.Join(all[max(0, len(all)-lines):], []byte("\n")))
}

// ready waits until a URL answers 200. It fails if the process ends before.
func (p *process) ready(t *testing.T, url string) {
	t.Helper()
	eventually(t, time.Minute, p.name+" is ready", func() error {
		select {
		case <-p.done:
			t.Fatalf("%s has ended: %v\n%s", p.name, p.err, p.tail(20))
		default:
		}
		_, err := get(url)
		return err
	})
}

// listens waits until somebody can connect to an address. It fails if the process ends
// before.
func (p *process) listens(t *testing.T, addr string) {
	t.Helper()
	eventually(t, time.Minute, p.name+" listens", func() error {
		select {
		case <-p.done:
			t.Fatalf("%s has ended: %v\n%s", p.name, p.err, p.tail(20))
		default:
		}
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			conn.Close()
		}
		return err
	})
}

// eventually asks until there is no error. Waiting costs no more than a poll.
func eventually(t *testing.T, limit time.Duration, what string, ok func() error) {
	t.Helper()
	start := time.Now()
	for tick := time.Tick(100 * time.Millisecond); ; <-tick {
		err := ok()
		if err == nil {
			return
		}
		if time.Since(start) > limit {
			t.Fatalf("not within %v: %s: %v", limit, what, err)
		}
	}
}

var client = &http.Client{Timeout: 20 * time.Second}

// get returns the body of an answer with the status 200.
func get(url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), client.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %s", url, resp.Status, strings.TrimSpace(body.String()))
	}
	return body.Bytes(), nil
}

// Ports that the system gives to nobody who dials: else whoever dials could get the port of a
// service that is about to be restarted.
const firstPort, ports = 20_000, 12_000

var nextPort = func() *atomic.Int64 {
	n := new(atomic.Int64)
	n.Store(rand.Int64N(ports))
	return n
}()

// address is a free HOST:PORT on loopback, another one each time. A program that cannot
// listen, since somebody else has taken it meanwhile, fails the test with its log.
func address(t *testing.T) string {
	t.Helper()
	for range ports {
		addr := fmt.Sprintf("127.0.0.1:%d", firstPort+nextPort.Add(1)%ports)
		if ln, err := net.Listen("tcp", addr); err == nil {
			ln.Close()
			return addr
		}
	}
	t.Fatal("there is no free port")
	return ""
}
