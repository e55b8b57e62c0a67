package browser

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// service is a running pktsvc serve.
type service struct {
	addr string // HOST:PORT
	url  string // of the admin server
	cmd  *exec.Cmd
}

// serve starts a service and waits until it listens. It ends with the test.
func serve(t *testing.T, env []string, flags ...string) *service {
	t.Helper()
	args := append([]string{"serve", "--service", "diag", "--listen", "tcp://127.0.0.1:0", "--admin", "127.0.0.1:0"}, flags...)
	s := &service{cmd: command(t, env, args...)}
	logs, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	start(t, s.cmd)
	listens := make(chan error, 1)
	go func() {
		for scan := bufio.NewScanner(logs); scan.Scan(); {
			var line struct {
				Msg, Admin string
				Addresses  []string
			}
			if json.Unmarshal(scan.Bytes(), &line) == nil && line.Msg == "listening" {
				s.addr, s.url = strings.TrimPrefix(line.Addresses[0], "tcp://"), line.Admin
				listens <- nil
			}
		}
		listens <- fmt.Errorf("its log has ended")
	}()
	select {
	case err := <-listens:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the service does not listen")
	}
	return s
}

// ask sends a number of requests of one type, and waits for their answers.
func (s *service) ask(t *testing.T, requests, typ int, flags ...string) {
	t.Helper()
	args := append([]string{"bench", "--addr", s.addr, "--requests", fmt.Sprint(requests), "--type", fmt.Sprint(typ), "--json"}, flags...)
	out, err := command(t, nil, args...).Output()
	var report struct {
		Ops    int
		Errors int
	}
	if json.Unmarshal(out, &report) != nil || report.Ops+report.Errors != requests {
		t.Fatalf("%d requests of type %d: %v\n%s", requests, typ, err, out)
	}
}

// load sends requests for as long as the test runs.
func (s *service) load(t *testing.T, flags ...string) {
	t.Helper()
	start(t, command(t, nil, append([]string{"bench", "--addr", s.addr, "--duration", "10m"}, flags...)...))
}

func command(t *testing.T, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), pktsvc, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // whatever becomes of the test
	return cmd
}

// start runs a command until the test ends.
func start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // killed
	})
}

// screenshots is where pictures are left.
func screenshots(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv(screenshotsVariable)
	if dir == "" {
		dir = t.TempDir()
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name+".png")
}
