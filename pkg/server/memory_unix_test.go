//go:build unix

package server_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/pktsvc/pktsvc/pkg/server"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// The memory is that of all connections: what one peer holds of it another is
// refused, and can be told from outside.
func TestMemoryLimit(t *testing.T) {
	r := start(t, func(c *server.Config) { c.Limits.Memory = 700 << 10 })
	holder, other := r.connect(t), r.connect(t)
	held, err := holder.Submit(t.Context(), stream.Request{Type: typeBlock, Payload: make([]byte, 200<<10)})
	if err != nil {
		t.Fatal(err)
	}
	wait(t, "the request is handled", r.entered)
	_, err = other.Call(t.Context(), stream.Request{Type: typeEcho, Payload: make([]byte, 300<<10)})
	if rejected := (*stream.Error)(nil); !errors.As(err, &rejected) || !strings.HasPrefix(string(rejected.Payload), "busy: the memory of all connections") {
		t.Errorf("the error is %v", err)
	}
	echo(t, other, "small ones go on")
	for _, line := range []string{
		"pktsvc_server_memory_limit_bytes 716800",
		"pktsvc_server_memory_used_bytes 270336", // 8 KiB for the request, 256 KiB for its payload
		`pktsvc_requests_rejected_total{reason="busy",type="Echo"} 1`,
	} {
		// A reader that polls has its buffer a little longer.
		eventually(t, "the metrics have the line "+line, func() bool {
			_, metrics := r.get(t, "/metrics")
			return strings.Contains(metrics, line)
		})
	}
	close(r.gate)
	if _, err := held.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := other.Call(t.Context(), stream.Request{Type: typeEcho, Payload: make([]byte, 200<<10)}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestReadTimeoutOfTheConfiguration(t *testing.T) {
	r := start(t, func(c *server.Config) { c.Limits.ReadTimeout = 50 * time.Millisecond })
	bystander := r.connect(t)
	nc := r.dial(t, 0)
	if _, err := nc.Write([]byte{100, 2, 2}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the connection is ended as a slow sender", func() bool {
		var got listing
		r.getJSON(t, "/connz?reason=slow_sender&peer="+nc.LocalAddr().String(), &got)
		return got.Matched == 1
	})
	echo(t, bystander, "unaffected")
}

// There are never more connections than descriptors.
func TestConnectionsFitDescriptors(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	lowered := limit
	lowered.Cur = 1000
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lowered); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	})
	r := start(t, func(c *server.Config) { c.Limits.Connections = 5000 })
	if _, metrics := r.get(t, "/metrics"); !strings.Contains(metrics, "pktsvc_server_connections_limit 936\n") {
		t.Error("the limit is not what 1000 descriptors allow")
	}
	if lines := r.logs.FilterField(zap.Int("lowered_to", 936)); lines.Len() != 1 || lines.All()[0].Level != zap.WarnLevel {
		t.Errorf("logged: %v", lines.All())
	}
}
