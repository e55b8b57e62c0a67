package main

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// portAtConnect has the port chosen when the connection's other end is known, so that
// ports of connections to other servers, also of those that have ended, can be used again.
func portAtConnect(_, _ string, c syscall.RawConn) error {
	var err error
	return errors.Join(c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	}), err)
}
