package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// service is pktsvc serve in a process of its own, with all that observes it, asked
// over one connection. Its clients hash every block that they send and get, and so
// does the service.
type service struct {
	program string
	cmd     *exec.Cmd
	conn    *stream.Conn
	client  *store.Client
	codes   sync.Map // of n
}

// buildService builds the program, with the versions that its own module names.
func buildService(dir string) (program string, err error) {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/pktsvc/pktsvc").Output()
	if err != nil {
		return "", err
	}
	program = filepath.Join(dir, "pktsvc")
	cmd := exec.Command("go", "build", "-o", program, "./cmd/pktsvc")
	cmd.Dir, cmd.Stderr = strings.TrimSpace(string(root)), os.Stderr
	return program, cmd.Run()
}

func (*service) name() string           { return "pktsvc" }
func (*service) durabilities() []string { return []string{whenFlushed, whenAnswered} }

func (s *service) start(dir, durability string) error {
	sync := map[string]string{whenFlushed: "flush", whenAnswered: "always"}[durability]
	s.cmd = exec.Command(s.program, "serve", "--service", "store", "--data", dir, "--sync", sync,
		"--listen", "tcp://127.0.0.1:0", "--admin", "127.0.0.1:0")
	logs, err := s.cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	addr, err := listening(logs)
	if err != nil {
		return err
	}
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	if s.conn, err = stream.NewConn(nc, stream.Options{}); err != nil {
		return err
	}
	s.client = store.NewClient(s.conn, store.BLAKE3)
	s.codes.Clear()
	return nil
}

// listening reads a log until it says where the service listens, and drops the rest.
func listening(logs io.Reader) (addr string, err error) {
	lines := bufio.NewScanner(logs)
	for lines.Scan() {
		var line struct {
			Msg       string
			Addresses []string
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
			go func() { _, _ = io.Copy(io.Discard, logs) }()
			return strings.TrimPrefix(line.Addresses[0], "tcp://"), nil
		}
		fmt.Fprintln(os.Stderr, lines.Text())
	}
	return "", errors.Join(errors.New("the service did not start"), lines.Err())
}

func (s *service) stop() error {
	err := s.conn.Shutdown(context.Background())
	err = errors.Join(err, s.cmd.Process.Signal(syscall.SIGTERM))
	return errors.Join(err, s.cmd.Wait())
}

func (s *service) add(ctx context.Context, n uint64, block []byte) error {
	code, err := s.client.Add(ctx, block)
	s.codes.Store(n, code)
	return err
}

func (s *service) flush(ctx context.Context) error { return s.client.Flush(ctx) }

func (s *service) get(ctx context.Context, n uint64, block []byte) error {
	code, _ := s.codes.Load(n)
	data, err := s.client.Get(ctx, code.(store.Code))
	copy(block, data)
	return err
}
