package server

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

// listenUnix listens on a socket file. A file that a dead process has left is
// removed first; the file is removed at the end if it is still this one.
func listenUnix(path string) (*listener, error) {
	if err := removeStaleSocket(path); err != nil {
		return nil, err
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	// By itself Close would remove whatever stands at the path by then.
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	own, err := os.Lstat(path)
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	l := listenNet(ln)
	nameUnixPeers(l)
	l.close = func() error {
		if now, err := os.Lstat(path); err == nil && os.SameFile(own, now) {
			_ = os.Remove(path)
		}
		return ln.Close()
	}
	return l, nil
}

// nameUnixPeers gives peers a name, as they have no address.
func nameUnixPeers(l *listener) {
	accept := l.accept
	l.accept = func() (link, error) {
		in, err := accept()
		in.peer = "unix"
		return in, err
	}
}

// removeStaleSocket removes the file at path if it is a socket that nobody
// listens on. Anything else that is there is an error, and stays.
func removeStaleSocket(path string) error {
	found, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if found.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("the path exists and is no socket (%v); it was left alone", found.Mode().Type())
	}
	nc, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = nc.Close()
		return fmt.Errorf("another process listens there: %w", syscall.EADDRINUSE)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("a socket is there and it is not clear whether it is in use: %w", err)
	}
	// Another process may have taken the path over since.
	if now, err := os.Lstat(path); err != nil || !os.SameFile(found, now) {
		return fmt.Errorf("another process has just taken the path: %w", syscall.EADDRINUSE)
	}
	return os.Remove(path)
}
