package server_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pktsvc/pktsvc/pkg/server"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// passed is a server in a process of its own that is given open sockets, as
// systemd does it.
type passed struct {
	*exec.Cmd
	log *strings.Builder
}

// startPassed starts it. The shell is there since the process must be told its
// own id.
func startPassed(t *testing.T, listen, names string, sockets ...*os.File) *passed {
	t.Helper()
	p := &passed{exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0"`, os.Args[0]), new(strings.Builder)}
	p.Env = append(os.Environ(), programVariable+"=1", "PKTSVC_LISTEN="+listen, "PKTSVC_ADMIN=",
		"LISTEN_FDS="+string(rune('0'+len(sockets))), "LISTEN_FDNAMES="+names)
	p.ExtraFiles = sockets
	p.Stderr = p.log
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill() }) // it has ended, if all went well
	return p
}

// stop ends it in order.
func (p *passed) stop(t *testing.T) {
	t.Helper()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(); err != nil {
		t.Errorf("the server ended with %v:\n%s", err, p.log)
	}
}

// hold opens a listening socket and gives up the listener, but not the socket.
func hold(t *testing.T, network, addr string) (*os.File, string) {
	t.Helper()
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	file, err := ln.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	return file, ln.Addr().String()
}

// A restart refuses nobody: who dials while no server runs waits for the next.
func TestPassedSocketsOutliveTheServer(t *testing.T) {
	tcp, tcpAddr := hold(t, "tcp", "127.0.0.1:0")
	unix, unixPath := hold(t, "unix", filepath.Join(t.TempDir(), "socket"))
	for _, round := range []string{"first", "second"} {
		var waiting []net.Conn // dialled before the server runs
		for network, addr := range map[string]string{"tcp": tcpAddr, "unix": unixPath} {
			c, err := net.Dial(network, addr)
			if err != nil {
				t.Fatalf("%s server, %s: %v", round, network, err)
			}
			defer c.Close()
			waiting = append(waiting, c)
		}
		p := startPassed(t, "systemd:", "packets:local", tcp, unix)
		for _, c := range waiting {
			defer time.AfterFunc(30*time.Second, func() { c.Close() }).Stop()
			conn, err := stream.NewConn(c, stream.Options{})
			if err != nil {
				t.Fatal(err)
			}
			echo(t, conn, round)
		}
		p.stop(t)
		if !strings.Contains(p.log.String(), "tcp://"+tcpAddr) || !strings.Contains(p.log.String(), "unix://"+unixPath) {
			t.Errorf("the log does not name both addresses:\n%s", p.log)
		}
	}
}

func TestPassedSocketsByName(t *testing.T) {
	one, oneAddr := hold(t, "tcp", "127.0.0.1:0")
	other, otherAddr := hold(t, "tcp", "127.0.0.1:0")
	c, err := net.Dial("tcp", oneAddr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p := startPassed(t, "systemd:one", "one:other", one, other)
	conn, err := stream.NewConn(c, stream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	echo(t, conn, "by name")
	p.stop(t)
	if strings.Contains(p.log.String(), otherAddr) {
		t.Errorf("it listens on a socket that it was not told to:\n%s", p.log)
	}
}

func TestPassedSocketsErrors(t *testing.T) {
	socket, _ := hold(t, "tcp", "127.0.0.1:0")
	datagrams, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "datagrams"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer datagrams.Close()
	file, err := datagrams.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	tests := []struct {
		listen, names string
		sockets       []*os.File
		want          string
	}{
		{"systemd:", "", nil, "no sockets were passed"},
		{"systemd:other", "packets", []*os.File{socket}, "no socket with this name was passed, or another listen URL has it; there are packets"},
		{"systemd:,systemd:packets", "packets", []*os.File{socket}, "another listen URL has it"},
		{"systemd:", "datagrams", []*os.File{file}, `the socket "datagrams" does not listen for streams`},
	}
	for _, tt := range tests {
		p := startPassed(t, tt.listen, tt.names, tt.sockets...)
		if err := p.Wait(); err == nil || !strings.Contains(p.log.String(), tt.want) {
			t.Errorf("%s with %q: %v, want %q in\n%s", tt.listen, tt.names, err, tt.want, p.log)
		}
	}
	if err := (server.Config{Listen: []string{"systemd://x"}}).Validate(); err == nil {
		t.Error("systemd://x is valid")
	}
}

// systemd is told when the server is ready, that it is alive, and that it stops.
func TestNotify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	if err := socket.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	p := exec.Command(os.Args[0])
	p.Env = append(os.Environ(), programVariable+"=1", "PKTSVC_LISTEN=tcp://127.0.0.1:0", "PKTSVC_ADMIN=",
		"NOTIFY_SOCKET="+path, "WATCHDOG_USEC=20000")
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Process.Kill() }()
	next := func(want string) string {
		t.Helper()
		message := make([]byte, 4096)
		n, err := socket.Read(message)
		if err != nil {
			t.Fatalf("waiting for %s: %v", want, err)
		}
		return string(message[:n])
	}
	if got := next("READY=1"); !strings.HasPrefix(got, "READY=1\nSTATUS=serving on tcp://127.0.0.1:") {
		t.Errorf("first it said %q", got)
	}
	for range 3 {
		if got := next("WATCHDOG=1"); got != "WATCHDOG=1" {
			t.Errorf("when ready it said %q", got)
		}
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for got := ""; got != "STOPPING=1"; got = next("STOPPING=1") {
		if got != "" && got != "WATCHDOG=1" {
			t.Errorf("after the signal it said %q", got)
		}
	}
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
}
