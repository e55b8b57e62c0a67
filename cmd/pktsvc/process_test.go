package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pktsvc/pktsvc/pkg/diag"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// process is a pktsvc serve that runs as a process of its own.
type process struct {
	cmd   *exec.Cmd
	addr  string // HOST:PORT of its packet listener
	admin string // HOST:PORT
	ended chan struct{}
	log   bytes.Buffer // complete when ended is closed
}

// startProcess runs serve and waits until it listens.
func startProcess(t *testing.T, args ...string) *process {
	t.Helper()
	args = append([]string{"serve", "--service", "diag", "--listen", "tcp://127.0.0.1:0", "--admin", "127.0.0.1:0"}, args...)
	p := &process{cmd: program(t, args...), ended: make(chan struct{})}
	logs, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it has ended, if the test went well
		<-p.ended
	})
	listens := make(chan struct{})
	go func() {
		defer close(p.ended)
		var once sync.Once
		for scan := bufio.NewScanner(logs); scan.Scan(); {
			fmt.Fprintln(&p.log, scan.Text())
			var line struct {
				Msg, Admin string
				Addresses  []string
			}
			if json.Unmarshal(scan.Bytes(), &line) == nil && line.Msg == "listening" {
				p.addr = strings.TrimPrefix(line.Addresses[0], "tcp://")
				p.admin = strings.TrimPrefix(line.Admin, "http://")
				once.Do(func() { close(listens) })
			}
		}
		_ = p.cmd.Wait() // the exit code tells
	}()
	select {
	case <-listens:
	case <-p.ended:
		t.Fatalf("the server ended without listening:\n%s", p.log.String())
	}
	return p
}

func (p *process) client(t *testing.T, o stream.ClientOptions) *stream.Client {
	t.Helper()
	c, err := stream.NewClient(stream.DialNetwork("tcp", p.addr), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// stop ends the process by SIGTERM and returns its exit code.
func (p *process) stop(t *testing.T) int {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	return p.cmd.ProcessState.ExitCode()
}

func withTimeout(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// 200,000 requests over one connection, all submitted without waiting for the
// answers before, every answer compared.
func TestProcessPipelined(t *testing.T) {
	const requests = 200_000
	ctx := withTimeout(t)
	p := startProcess(t)
	conn, release, err := p.client(t, stream.ClientOptions{}).Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	calls := make(chan *stream.Call, requests)
	go func() {
		defer close(calls)
		for i := range requests {
			call, err := conn.Submit(context.Background(), stream.Request{
				Type: diag.TypeEcho, Flags: uint64(i), Payload: strconv.AppendInt(nil, int64(i), 10),
			})
			if err != nil {
				t.Errorf("request %d: %v", i, err)
				return
			}
			calls <- call
		}
	}()
	n := 0
	for call := range calls {
		resp, err := call.Wait(ctx)
		if err != nil || resp.Flags != uint64(n) || string(resp.Payload) != strconv.Itoa(n) {
			t.Fatalf("request %d: %q, flags %d, %v", n, resp.Payload, resp.Flags, err)
		}
		n++
	}
	if n != requests {
		t.Errorf("%d requests were answered, want %d", n, requests)
	}
	if code := p.stop(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// 1,000 connections at once, each asking.
func TestProcessManyConnections(t *testing.T) {
	const conns = 1000
	ctx := withTimeout(t)
	p := startProcess(t)
	var wg, open sync.WaitGroup
	open.Add(conns)
	for i := range conns {
		client := p.client(t, stream.ClientOptions{})
		wg.Go(func() {
			conn, release, err := client.Open(ctx)
			open.Done()
			if err != nil {
				t.Errorf("connection %d: %v", i, err)
				return
			}
			defer release()
			open.Wait() // all are open now
			for j := range 10 {
				text := fmt.Sprintf("connection %d, request %d", i, j)
				resp, err := conn.Call(ctx, stream.Request{Type: diag.TypeHash, Payload: []byte(text)})
				if want := fmt.Sprintf("%x", sha256.Sum256([]byte(text))); err != nil || string(resp.Payload) != want {
					t.Errorf("%s: %q, %v", text, resp.Payload, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if code := p.stop(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// Payloads from nothing to 32 MiB, on one connection.
func TestProcessPayloads(t *testing.T) {
	ctx := withTimeout(t)
	p := startProcess(t)
	client := p.client(t, stream.ClientOptions{})
	for _, size := range []int{0, 1, 127, 128, 4095, 4096, 65_535, 1 << 20, 8<<20 + 3, 32 << 20} {
		payload := bytes.Repeat([]byte("0123456789abcdefghijklm"), size/23+1)[:size]
		resp, err := client.Call(ctx, stream.Request{Type: diag.TypeEcho, Payload: payload})
		if err != nil || !bytes.Equal(resp.Payload, payload) {
			t.Errorf("%d bytes: %d came back, %v", size, len(resp.Payload), err)
		}
	}
}

// SIGTERM while requests are in flight: each of them is answered, exit code 0.
func TestProcessTermAnswersWhatIsInFlight(t *testing.T) {
	ctx := withTimeout(t)
	p := startProcess(t)
	var calls []*stream.Call
	for range 10 {
		client := p.client(t, stream.ClientOptions{})
		for range 100 {
			call, err := client.Submit(ctx, stream.Request{Type: diag.TypeSleep, Payload: []byte("500")})
			if err != nil {
				t.Fatal(err)
			}
			calls = append(calls, call)
		}
		// This answer shows that the server has accepted the requests before it.
		if _, err := client.Call(ctx, stream.Request{Type: diag.TypeEcho}); err != nil {
			t.Fatal(err)
		}
	}
	code := p.stop(t)
	for i, call := range calls {
		if _, err := call.Wait(ctx); err != nil {
			t.Errorf("request %d: %v", i, err)
		}
	}
	if code != 0 {
		t.Errorf("exit code %d:\n%s", code, p.log.String())
	}
}

// SIGTERM under load that goes on: the server ends all the same, having answered
// what it accepted, and every call has an outcome that says what happened.
func TestProcessTermUnderLoad(t *testing.T) {
	ctx := withTimeout(t)
	p := startProcess(t, "--drain-serve", "200ms")
	var outcomes [stream.NumOutcomes]atomic.Int64
	var wg sync.WaitGroup
	half := make(chan struct{}) // closed when the load runs
	var answered atomic.Int64
	for range 4 {
		client := p.client(t, stream.ClientOptions{DialAttempts: 1})
		for range 32 {
			wg.Go(func() {
				for {
					_, err := client.Call(ctx, stream.Request{Type: diag.TypeEcho, Payload: []byte("load")})
					e := (*stream.Error)(nil)
					switch {
					case err == nil:
						outcomes[stream.OutcomeOK].Add(1)
						if answered.Add(1) == 10_000 {
							close(half)
						}
						continue
					case !errors.As(err, &e):
						t.Errorf("an error without an outcome: %v", err)
					case e.Outcome == stream.OutcomeRejected && string(e.Payload) != "requests no longer allowed":
						t.Errorf("rejected: %v", err)
					default:
						outcomes[e.Outcome].Add(1)
						if e.Outcome == stream.OutcomeRejected {
							continue // until the connection ends
						}
					}
					return
				}
			})
		}
	}
	<-half
	code := p.stop(t)
	wg.Wait()
	if code != 0 {
		t.Errorf("exit code %d:\n%s", code, p.log.String())
	}
	for o := range outcomes {
		if n := outcomes[o].Load(); n > 0 {
			t.Logf("%v: %d", stream.Outcome(o), n)
		}
	}
	if n := outcomes[stream.OutcomeDeadline].Load() + outcomes[stream.OutcomePending].Load(); n > 0 {
		t.Errorf("%d calls hung", n)
	}
}
