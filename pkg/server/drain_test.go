package server_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/fx"

	"github.com/pktsvc/pktsvc/pkg/server"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// ledger counts, on the serving side, what was accepted and how it ended.
type ledger struct{ accepted, ok, other atomic.Int64 }

func (*ledger) Events() stream.EventSet {
	return stream.Events(stream.EventRequestBegin, stream.EventRequestDone)
}

func (l *ledger) Begin(ctx context.Context, _ *stream.Event) context.Context {
	l.accepted.Add(1)
	return ctx
}

func (l *ledger) Observe(_ context.Context, e *stream.Event) {
	if e.Outcome == stream.OutcomeOK {
		l.ok.Add(1)
	} else {
		l.other.Add(1)
	}
}

// Every request that was accepted before or while the server drains is answered,
// and the answer arrives.
func TestDrainUnderLoad(t *testing.T) {
	book := new(ledger)
	r := start(t, nil, fx.Provide(server.AsObserver(func() *ledger { return book })))
	var answered atomic.Int64
	var callers sync.WaitGroup
	warm := make(chan struct{}, 1000)
	for i := range 8 {
		conn := r.connect(t)
		for j := range 16 {
			callers.Go(func() {
				for n := 0; ; n++ {
					text := fmt.Sprint(i, j, n)
					resp, err := conn.Call(t.Context(), stream.Request{Payload: []byte(text)})
					if n == 20 {
						warm <- struct{}{}
					}
					// Once the server has ended its side, calls are lost or refused.
					if failed := (*stream.Error)(nil); errors.As(err, &failed) {
						if failed.Outcome != stream.OutcomeLost && failed.Outcome != stream.OutcomeRefused && failed.Outcome != stream.OutcomeRejected {
							t.Error(err)
						}
						return
					}
					if err != nil || string(resp.Payload) != text {
						t.Errorf("asked %q, got %q, %v", text, resp.Payload, err)
						return
					}
					answered.Add(1)
				}
			})
		}
	}
	for range 128 {
		wait(t, "the load runs", warm)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	callers.Wait()
	t.Logf("accepted %d, answered ok %d, otherwise %d, arrived %d", book.accepted.Load(), book.ok.Load(), book.other.Load(), answered.Load())
	if n := book.accepted.Load(); book.ok.Load() != n || answered.Load() != n {
		t.Error("some that were accepted were not answered, or their answers did not arrive")
	}
	for _, step := range []string{"not_ready", "stop_accepting", "in_flight", "linger"} {
		if !steps(r)[step] {
			t.Errorf("step %s was not complete: %v", step, steps(r))
		}
	}
	if r.logs.FilterMessage("drained, everything accepted was answered").Len() != 1 {
		t.Error("the end was not logged")
	}
	if r.logs.FilterMessageSnippet("stop timeout is shorter").Len() != 0 {
		t.Error("the stop timeout of the configuration does not suffice for its budgets")
	}
}

// steps are the logged steps of a drain, and whether each was complete.
func steps(r *running) map[string]bool {
	all := make(map[string]bool)
	for _, line := range r.logs.FilterMessage("drain").All() {
		fields := line.ContextMap()
		all[fields["step"].(string)] = fields["complete"].(bool)
	}
	return all
}

// While it drains the server is alive and not ready, accepts nothing new, and
// what is in flight finishes.
func TestDrainStepByStep(t *testing.T) {
	r := start(t, nil)
	conn := r.connect(t)
	call, err := conn.Submit(t.Context(), stream.Request{Type: typeBlock})
	if err != nil {
		t.Fatal(err)
	}
	wait(t, "the request is handled", r.entered)
	target := r.packets.Addresses()[0][len("tcp://"):]
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()

	eventually(t, "new connections are not accepted", func() bool {
		nc, err := net.Dial("tcp", target)
		if err == nil {
			nc.Close()
		}
		return err != nil
	})
	if code, body := r.get(t, "/readyz"); code != http.StatusServiceUnavailable {
		t.Errorf("/readyz: %d %s", code, body)
	}
	for _, path := range []string{"/livez", "/startupz"} {
		if code, _ := r.get(t, path); code != http.StatusOK {
			t.Errorf("%s: %d", path, code)
		}
	}
	var open listing
	r.getJSON(t, "/connz?state=open", &open)
	if open.Open != 1 || open.Connections[0].Stats.Serving != 1 {
		t.Errorf("/connz while draining: %+v", open)
	}
	close(r.gate)
	if resp, err := call.Wait(t.Context()); err != nil || string(resp.Payload) != "done" {
		t.Errorf("the request in flight got %q, %v", resp.Payload, err)
	}
	http.DefaultClient.CloseIdleConnections()
	if err := wait(t, "the server stops", stopped); err != nil {
		t.Error(err)
	}
}

func TestDrainDelayKeepsAccepting(t *testing.T) {
	r := start(t, func(c *server.Config) { c.Drain.Delay = 300 * time.Millisecond })
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	eventually(t, "not ready", func() bool {
		code, _ := r.get(t, "/readyz")
		return code == http.StatusServiceUnavailable
	})
	echo(t, r.connect(t), "the load balancer has not noticed yet")
	http.DefaultClient.CloseIdleConnections()
	if err := wait(t, "the server stops", stopped); err != nil {
		t.Error(err)
	}
}

// A peer that holds its connection open without asking anything does not hold
// the server up, nor make its end unclean.
func TestDrainWithQuietPeers(t *testing.T) {
	r := start(t, nil)
	r.dial(t, 0)
	echo(t, r.connect(t), "so that the quiet one is accepted, too")
	began := time.Now()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestDrainForced(t *testing.T) {
	tests := []struct {
		name   string
		change func(*server.Config)
		hurry  func(t *testing.T, r *running)
	}{
		{
			name:   "after its budget",
			change: func(c *server.Config) { c.Drain.Timeout, c.Drain.Serve = 200*time.Millisecond, 100*time.Millisecond },
		},
		{
			name: "by a signal",
			hurry: func(t *testing.T, r *running) {
				eventually(t, "it drains", func() bool { return steps(r)["stop_accepting"] })
				self, err := os.FindProcess(os.Getpid())
				if err != nil {
					t.Fatal(err)
				}
				if err := self.Signal(syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
			},
		},
		{
			name:   "by a signal while it waits to begin",
			change: func(c *server.Config) { c.Drain.Delay = time.Hour },
			hurry: func(t *testing.T, r *running) {
				eventually(t, "it waits", func() bool { return steps(r)["not_ready"] })
				self, err := os.FindProcess(os.Getpid())
				if err != nil {
					t.Fatal(err)
				}
				if err := self.Signal(syscall.SIGINT); err != nil {
					t.Fatal(err)
				}
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := start(t, test.change)
			conn := r.connect(t)
			var calls []*stream.Call
			for range 4 {
				call, err := conn.Submit(t.Context(), stream.Request{Type: typeBlock})
				if err != nil {
					t.Fatal(err)
				}
				calls = append(calls, call)
				wait(t, "the request is handled", r.entered)
			}
			stopped := make(chan error, 1)
			go func() { stopped <- r.stop() }()
			if test.hurry != nil {
				test.hurry(t, r)
			}
			err := wait(t, "the server stops", stopped)
			forced := (*server.ForcedError)(nil)
			if !errors.As(err, &forced) || forced.Requests != 4 || forced.Connections != 1 {
				t.Fatalf("stopped with %v", err)
			}
			if server.ExitCode(err) != server.ExitForced {
				t.Errorf("exit code %d", server.ExitCode(err))
			}
			for _, call := range calls {
				if _, err := call.Wait(t.Context()); !errors.Is(err, stream.ErrConnectionLost) {
					t.Errorf("a call that was cut off: %v", err)
				}
			}
			if r.logs.FilterMessage("drained by force").Len() != 1 {
				t.Error("the forced end was not logged")
			}
		})
	}
}

// An app whose stop timeout is too short still drains, in what time it has.
func TestDrainFitsIntoAShortStopTimeout(t *testing.T) {
	r := start(t, func(c *server.Config) { c.Drain.Telemetry = 100 * time.Millisecond })
	conn := r.connect(t)
	if _, err := conn.Submit(t.Context(), stream.Request{Type: typeBlock}); err != nil {
		t.Fatal(err)
	}
	wait(t, "the request is handled", r.entered)
	ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
	defer cancel()
	err := r.app.Stop(ctx)
	if forced := (*server.ForcedError)(nil); !errors.As(err, &forced) {
		t.Errorf("stopped with %v", err)
	}
	if r.logs.FilterMessageSnippet("stop timeout is shorter").Len() != 1 {
		t.Error("it was not said that the stop timeout is too short")
	}
	_ = r.stop()
}
