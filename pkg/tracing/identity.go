package tracing

import (
	"math/bits"

	"go.opentelemetry.io/otel/trace"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// traceID is that of a request, as long as it has no parent: the same whenever it is asked
// for, so that nobody has to keep it; and the same on both ends, where these have agreed
// on the extension. Calls that are chosen when they begin have no tag then, and another one.
func (p *Provider) traceID(conn *stream.ConnInfo, role stream.Role, channel, tag uint64) trace.TraceID {
	high := traceKeyOf(0, &p.seeds[0], conn, role, channel)
	low := traceKeyOf(1, &p.seeds[1], conn, role, channel)
	return traceIDOf(high.half(tag), low.half(tag))
}

// traceKey makes one half of the identities of the requests of a channel.
type traceKey struct{ tag, first, channel, second uint64 }

func (k *traceKey) half(tag uint64) uint64 {
	return mixed(mixed(tag^k.tag, k.first)^k.channel, k.second)
}

// traceKeyOf is that of a connection. seed is of this process, so that no peer can choose a
// trace that is sampled; where the peer's part is in it, the connection's own ID sees to that.
func traceKeyOf(half int, seed *[2]uint64, conn *stream.ConnInfo, role stream.Role, channel uint64) traceKey {
	peer := conn.PeerID()
	if peer == 0 {
		return traceKey{seed[0], conn.ID ^ sharedSeeds[0][0] ^ uint64(role), channel, seed[1]}
	}
	if role == stream.RoleClient {
		return sharedKey(half, conn.ID, peer, channel)
	}
	return sharedKey(half, peer, conn.ID, channel)
}

// sharedSeeds are those of both ends (docs/PROTOCOL.md, section 20). They never change.
var sharedSeeds = [2][2]uint64{{0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9}, {0x94d049bb133111eb, 0xd6e8feb86659fd93}}

// sharedKey is that of a peer that calls and one that serves, by the nonces of their hellos.
func sharedKey(half int, calls, serves, channel uint64) traceKey {
	s := &sharedSeeds[half]
	return traceKey{calls ^ s[0], serves ^ s[1], channel, calls ^ s[1]}
}

// mixed is both halves of a product, in which each bit of either number has its part.
func mixed(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	return high ^ low
}
