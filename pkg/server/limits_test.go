package server_test

import (
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/pktsvc/pktsvc/pkg/server"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

func TestConnectionLimits(t *testing.T) {
	tests := []struct {
		name   string
		change func(*server.Config)
		reason string
	}{
		{"total", func(c *server.Config) { c.Limits.Connections = 2 }, "connections"},
		{"per peer", func(c *server.Config) { c.Limits.ConnectionsPerPeer = 2 }, "connections_per_peer"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := start(t, test.change)
			a, b := r.connect(t), r.connect(t)
			echo(t, a, "first")
			echo(t, b, "second")

			third := r.dial(t, 0)
			_ = third.SetReadDeadline(time.Now().Add(10 * time.Second))
			if n, err := third.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the third was not closed: %d, %v", n, err)
			}
			echo(t, a, "others are unaffected")
			if lines := r.logs.FilterMessage("connection refused").FilterField(zap.String("reason", test.reason)); lines.Len() != 1 {
				t.Errorf("refusals logged: %d, want 1", lines.Len())
			}
			if _, body := r.get(t, "/metrics"); !strings.Contains(body, `pktsvc_server_connections_refused_total{reason="`+test.reason+`"} 1`) {
				t.Error("the refusal is not counted")
			}
			// A place that becomes free can be taken.
			if err := a.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			eventually(t, "a place is free", func() bool {
				var now listing
				r.getJSON(t, "/connz?state=open", &now)
				return now.Open == 1
			})
			echo(t, r.connect(t), "third")
		})
	}
}

func TestClosedConnectionsAreForgottenInOrder(t *testing.T) {
	r := start(t, func(c *server.Config) { c.Limits.ClosedKept = 2 })
	var got listing
	for i := range 5 {
		conn := r.connect(t)
		echo(t, conn, "x")
		if err := conn.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		// The server puts a connection away a little after its client has left.
		eventually(t, "the connection is put away", func() bool {
			r.getJSON(t, "/connz", &got)
			return got.Closed["shutdown"] == i+1
		})
	}
	if len(got.Connections) != 2 || got.Connections[0].Name != "tcp-5" || got.Connections[1].Name != "tcp-4" {
		t.Errorf("kept are %+v, want the last two, the latest first", got.Connections)
	}
}

func TestPacketLimitOfTheConfiguration(t *testing.T) {
	r := start(t, func(c *server.Config) { c.Limits.MaxPacket = 100 })
	_, err := r.connect(t).Call(t.Context(), stream.Request{Payload: make([]byte, 200)})
	if !errors.Is(err, stream.ErrConnectionLost) {
		t.Errorf("the error is %v", err)
	}
	eventually(t, "the end is listed", func() bool {
		var got listing
		r.getJSON(t, "/connz?reason=oversize", &got)
		return got.Matched == 1 && strings.Contains(got.Connections[0].Cause, "the limit is 100")
	})
}

func TestUnixSocketFiles(t *testing.T) {
	serveOn := func(path string) error {
		cfg := server.Default()
		cfg.Listen, cfg.Admin = []string{"unix://" + path}, ""
		app := server.New(cfg, fx.Decorate(func(*zap.Logger) *zap.Logger { return zap.NewNop() }))
		if err := app.Start(t.Context()); err != nil {
			return err
		}
		return app.Stop(t.Context())
	}
	t.Run("stale", func(t *testing.T) {
		path := t.TempDir() + "/s"
		ln, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		ln.(*net.UnixListener).SetUnlinkOnClose(false) // as when a process is killed
		ln.Close()
		if _, err := os.Lstat(path); err != nil {
			t.Fatal(err)
		}
		if err := serveOn(path); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("the file is still there: %v", err)
		}
	})
	t.Run("in use", func(t *testing.T) {
		path := t.TempDir() + "/s"
		ln, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		err = serveOn(path)
		if listen := (*server.ListenError)(nil); !errors.As(err, &listen) || !strings.Contains(err.Error(), "another process listens there") {
			t.Errorf("the error is %v", err)
		}
		if nc, err := net.Dial("unix", path); err != nil {
			t.Errorf("the other's socket was taken away: %v", err)
		} else {
			nc.Close()
		}
	})
	t.Run("taken over", func(t *testing.T) {
		path := t.TempDir() + "/s"
		r := start(t, func(c *server.Config) { c.Listen = []string{"unix://" + path} })
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		other, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		if err := r.stop(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("the other's file was removed: %v", err)
		}
	})
	t.Run("a symbolic link", func(t *testing.T) {
		path := t.TempDir() + "/s"
		if err := os.Symlink("/dev/null", path); err != nil {
			t.Fatal(err)
		}
		if err := serveOn(path); err == nil || !strings.Contains(err.Error(), "is no socket") {
			t.Errorf("the error is %v", err)
		}
	})
}

// What a peer sends that is no packet ends its connection with a reason that is
// seen in /connz and in the log; others are unaffected.
func TestBadInput(t *testing.T) {
	tests := []struct {
		name, input string
		hangUp      bool // the peer closes; else the server does
		reason      string
		cause       string
	}{
		{"HTTP", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", false, "not_packets", "HTTP"},
		{"TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", false, "not_packets", "TLS"},
		{"a length of 2^40", "\xa0\x80\x80\x80\x80\x00\x02\x02\x01", false, "oversize", "1099511627776 bytes"},
		{"a number over 64 bits", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", false, "malformed", "length"},
		{"a length of 0", "\x00", false, "malformed", "tag"},
		{"a body too short", "\x02\x02\x02", false, "malformed", "request type"},
		{"half a packet", "\x10\x02\x82\x56\x02hello", true, "truncated", "byte 0"},
		{"garbage after a good packet", "\x04\x02\x02\x01x\x00", false, "malformed", "byte 5"},
	}
	r := start(t, nil)
	bystander := r.connect(t)
	ended := make(map[string]int)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			nc := r.dial(t, 0)
			if _, err := nc.Write([]byte(test.input)); err != nil {
				t.Fatal(err)
			}
			if test.hangUp {
				nc.Close()
			} else if _, err := io.Copy(io.Discard, nc); err != nil {
				t.Logf("the server's end: %v", err) // a reset is as good as an end
			}
			peer := nc.LocalAddr().String()
			var got listing
			eventually(t, "the connection is listed as closed", func() bool {
				got = listing{}
				r.getJSON(t, "/connz?state=closed&peer="+peer, &got)
				return got.Matched == 1
			})
			if c := got.Connections[0]; c.Reason != test.reason || !strings.Contains(c.Cause, test.cause) {
				t.Errorf("reason %q, cause %q; want %q, %q", c.Reason, c.Cause, test.reason, test.cause)
			}
			lines := r.logs.FilterMessage("connection closed").FilterField(zap.String("peer", peer)).All()
			if len(lines) != 1 || lines[0].Level != zap.WarnLevel || lines[0].ContextMap()["reason"] != test.reason {
				t.Errorf("log: %v", lines)
			}
			if _, body := r.get(t, "/metrics"); !strings.Contains(body, `pktsvc_connections_closed_total{reason="`+test.reason+`"} `+strconv.Itoa(ended[test.reason]+1)) {
				t.Error("the end is not counted under its reason")
			}
			ended[test.reason]++
			echo(t, bystander, "unaffected")
		})
	}
}

// A peer that asks and never reads the answers is ended; others are unaffected.
func TestPeerThatNeverReads(t *testing.T) {
	r := start(t, func(c *server.Config) { c.Limits.WriteTimeout = 200 * time.Millisecond })
	bystander := r.connect(t)
	nc := r.dial(t, 0)
	request := stream.Packet{Kind: stream.KindRequest, Type: typeEcho, Payload: make([]byte, 1<<20)}
	writing := make(chan struct{})
	go func() {
		defer close(writing)
		for tag := range uint64(1000) {
			request.Tag = tag + 2
			wire, err := request.AppendBinary(nil)
			if err != nil {
				t.Error(err)
			}
			if _, err := nc.Write(wire); err != nil {
				return // the server has ended it
			}
		}
		t.Error("the server took a gigabyte from a peer that does not read")
	}()
	peer := nc.LocalAddr().String()
	eventually(t, "the connection is ended as a slow consumer", func() bool {
		var got listing
		r.getJSON(t, "/connz?reason=slow_consumer&peer="+peer, &got)
		return got.Matched == 1
	})
	echo(t, bystander, "unaffected")
	nc.Close()
	wait(t, "the peer ends", writing)
}
