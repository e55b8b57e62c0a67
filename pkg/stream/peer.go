package stream

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Peer is who is at the other end of a connection, as far as whoever made the
// stream knows. The engine only passes it on.
type Peer struct {
	Address string // network address, for people

	// Identity is a name that was verified, such as that of a client certificate;
	// empty for a peer that is not known.
	Identity string
}

// Peer is Options.Peer. A handler asks [Request.Conn] for it.
func (c *Conn) Peer() Peer { return c.info.Peer }

// ConnInfo tells a connection from others. See [Conn.Info].
type ConnInfo struct {
	ID     uint64 // drawn at random, to be told from connections of other processes, too
	Name   string
	Peer   Peer
	Opened time.Time

	peerID atomic.Uint64
}

// PeerID is the ID that the peer has of the connection; 0 as long as the extension is not
// agreed on. It may be called concurrently.
func (i *ConnInfo) PeerID() uint64 { return i.peerID.Load() }

// authorized asks Options.Authorize about a request. A panic is a refusal, since
// it comes on the reader's goroutine.
func (c *Conn) authorized(p *Packet) (err error) {
	if c.opts.Authorize == nil {
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("it could not be decided: %v", v)
		}
	}()
	return c.opts.Authorize(c.opts.Peer, p.Channel, p.Type)
}
