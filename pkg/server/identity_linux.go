package server

import (
	"net"
	"strconv"
	"syscall"
)

// socketIdentity is the user at the other end of a Unix socket, as the kernel
// knows it: uid:1000. Other sockets have none.
func socketIdentity(nc net.Conn) string {
	unix, ok := nc.(*net.UnixConn)
	if !ok {
		return ""
	}
	raw, err := unix.SyscallConn()
	if err != nil {
		return ""
	}
	identity := ""
	_ = raw.Control(func(fd uintptr) { // fails when it is closed, which serving will see
		if user, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
			identity = "uid:" + strconv.FormatUint(uint64(user.Uid), 10)
		}
	})
	return identity
}
