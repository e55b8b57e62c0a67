package server

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// connections knows which connections are open, and remembers some of those
// that have ended. It also counts them against the limits.
type connections struct {
	maxOpen, maxPerPeer, maxClosed int

	mu    sync.Mutex // guards all below; held for short work on these maps only
	seq   uint64
	slots int                    // taken by admit
	perIP map[netip.Addr]int     // of them, for each peer
	open  map[string]*connection // by name
	ring  []closedConnection     // the last maxClosed ended ones; next is overwritten next
	next  int
	ended map[stream.Reason]uint64 // how many ended, for the listing
}

func newConnections(l LimitsConfig) *connections {
	return &connections{
		maxOpen: l.Connections, maxPerPeer: l.ConnectionsPerPeer, maxClosed: l.ClosedKept,
		perIP: make(map[netip.Addr]int),
		open:  make(map[string]*connection),
		ended: make(map[stream.Reason]uint64),
	}
}

// refusal is why a stream was not made a connection; the value of a label.
type refusal string

const (
	notRefused    refusal = ""
	refusedTotal  refusal = "connections"
	refusedPeer   refusal = "connections_per_peer"
	refusedFailed refusal = "setup"
)

// admit takes a slot for a new connection, or says which limit forbids it.
func (cs *connections) admit(ip netip.Addr) (id uint64, why refusal) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.slots >= cs.maxOpen {
		return 0, refusedTotal
	}
	if ip.IsValid() {
		if cs.perIP[ip] >= cs.maxPerPeer {
			return 0, refusedPeer
		}
		cs.perIP[ip]++
	}
	cs.slots++
	cs.seq++
	return cs.seq, notRefused
}

// add lists an admitted connection as open.
func (cs *connections) add(c *connection) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.open[c.name] = c
}

// withdraw takes back admit.
func (cs *connections) withdraw(c *connection) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.forget(c)
}

// forget gives everything back that a connection has taken. mu is held.
func (cs *connections) forget(c *connection) {
	delete(cs.open, c.name)
	cs.slots--
	if c.ip.IsValid() {
		if cs.perIP[c.ip]--; cs.perIP[c.ip] == 0 {
			delete(cs.perIP, c.ip)
		}
	}
}

// remove turns an open connection, which has ended, into a remembered one.
func (cs *connections) remove(c *connection) {
	past := closedConnection{
		connectionInfo: c.info(), closed: time.Now(),
		reason: c.conn.Reason(), err: c.conn.Err(),
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.forget(c)
	cs.ended[past.reason]++
	if len(cs.ring) < cs.maxClosed {
		cs.ring = append(cs.ring, past)
	} else {
		cs.ring[cs.next] = past
		cs.next = (cs.next + 1) % cs.maxClosed
	}
}

// all lists the open connections, the oldest first.
func (cs *connections) all() []*connection {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	list := make([]*connection, 0, len(cs.open))
	for _, c := range cs.open {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *connection) int { return cmp.Compare(a.id, b.id) })
	return list
}

// closed lists the remembered ones, that which ended last first.
func (cs *connections) closed() []closedConnection {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	list := slices.Concat(cs.ring[cs.next:], cs.ring[:cs.next])
	slices.Reverse(list)
	return list
}

// named finds an open connection, or returns nil.
func (cs *connections) named(name string) *connection {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.open[name]
}

// count is how many are open and how many have ended, by reason.
func (cs *connections) count() (open int, ended map[string]uint64) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	ended = make(map[string]uint64, len(cs.ended))
	for reason, n := range cs.ended {
		ended[reason.String()] = n
	}
	return len(cs.open), ended
}

// connectionInfo is what listings and logs say about a connection.
type connectionInfo struct {
	id       uint64
	name     string
	listener string
	peer     string
	identity string
	opened   time.Time
	features stream.Features
	stats    stream.Stats
}

// closedConnection is what is remembered of a connection.
type closedConnection struct {
	connectionInfo
	closed time.Time
	reason stream.Reason
	err    error // nil after an orderly end
}

func connectionName(network string, id uint64) string {
	return network + "-" + strconv.FormatUint(id, 10)
}
