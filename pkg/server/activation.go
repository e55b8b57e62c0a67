package server

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/coreos/go-systemd/v22/activation"
)

// passedSockets are the listening sockets that systemd has opened for this
// process, by the names of their units.
var passedSockets = sync.OnceValues(activation.ListenersWithNames)

var (
	takenMu sync.Mutex
	// taken are the names of those that a listen URL has taken over: each can serve
	// one only. takenMu guards it.
	taken = make(map[string]bool)
)

// listenPassed takes over the sockets with a name (FileDescriptorName=), or all
// if the name is empty. They stay open in systemd while the server restarts, so
// that nobody who dials meanwhile is refused; so nothing is unlinked at the end.
func listenPassed(name string) ([]*listener, error) {
	sockets, err := passedSockets()
	if err != nil {
		return nil, err
	}
	takenMu.Lock()
	defer takenMu.Unlock()
	var list []*listener
	for _, socket := range slices.Sorted(maps.Keys(sockets)) {
		if taken[socket] || name != "" && socket != name {
			continue
		}
		taken[socket] = true
		for _, ln := range sockets[socket] {
			if network := ln.Addr().Network(); network != "tcp" && network != "unix" {
				return nil, fmt.Errorf("the socket %q does not listen for streams; want ListenStream= in its unit", socket)
			}
			list = append(list, listenSocket(ln))
		}
	}
	if len(list) > 0 {
		return list, nil
	}
	if len(sockets) == 0 {
		return nil, errors.New("no sockets were passed (LISTEN_FDS); start the socket unit, not the program by itself")
	}
	return nil, fmt.Errorf("no socket with this name was passed, or another listen URL has it; there are %s", strings.Join(slices.Sorted(maps.Keys(sockets)), ", "))
}

// listenSocket accepts on a listener of either kind.
func listenSocket(ln net.Listener) *listener {
	l := listenNet(ln)
	if l.addr.network == "unix" {
		nameUnixPeers(l)
	}
	return l
}
