package stream

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// What hostile peers bring about in memory stays below what docs/GUARANTEES.md
// says: together where there is a budget, and each by itself where there is none.
func TestMemoryIsBounded(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector's own memory is not bounded")
	}
	const response = 1 << 20 // of the handler below, at most
	var tried flooded
	t.Run("together", func(t *testing.T) {
		const limit, connections = 32 << 20, 60
		o := Options{Budget: NewBudget(limit), SendBuffer: 256 << 10}
		tried.all(t, o, connections, limit+connections*(64<<10+o.SendBuffer+response))
	})
	t.Run("each", func(t *testing.T) {
		const connections = 8
		o := Options{MaxPacket: 4 << 20, MaxHandlers: 100, MaxQueued: 1000, MaxQueuedBytes: 2 << 20, SendBuffer: 256 << 10}
		one := 2*o.MaxPacket + 2*o.MaxQueuedBytes + (o.MaxQueued+o.MaxHandlers)*8<<10 + 2*(o.SendBuffer+response) + 16<<20
		tried.all(t, o, connections, connections*one)
	})
	t.Logf("guarantee: TestMemoryIsBounded %d connections, %d packets, %d bytes", tried.connections.Load(), tried.packets.Load(), tried.bytes.Load())
}

// zeros are the payloads of all floods, so that the bytes of the peers
// themselves do not count.
var zeros = make([]byte, 8<<20)

type flood func(tag uint64) net.Buffers

// packets is a flood of packets with ascending tags.
func packets(kind Kind, channel, typ uint64, size int) flood {
	return func(tag uint64) net.Buffers {
		p := Packet{Kind: kind, Channel: channel, Tag: tag, Type: typ}
		b := p.append(nil)
		_, n, _ := ConsumeUint(b)
		return net.Buffers{append(AppendUint(nil, uint64(len(b)-n+size)), b[n:]...), zeros[:size]}
	}
}

// beginning is the beginning of a packet of nearly the default limit's size.
func beginning(size int) flood {
	return func(uint64) net.Buffers { return net.Buffers{{0x97, 0xff, 0xff, 0x7f, 2, 2, 1}, zeros[:size]} }
}

var floods = map[string]flood{
	"tiny requests":      packets(KindRequest, 0, 0, 0),
	"requests of 10 kB":  packets(KindRequest, 0, 0, 10_000),
	"requests of 3 MB":   packets(KindRequest, 0, 0, 3_000_000),
	"one tag":            func(uint64) net.Buffers { return packets(KindRequest, 0, 0, 10_000)(2) },
	"half a packet":      beginning(len(zeros)),
	"length of a packet": beginning(0),
	"unknown channel":    packets(KindRequest, 5, 0, 0),
	"answers of 1 MB":    packets(KindRequest, 0, 1, 0),
	"responses to none":  packets(KindResponse, 0, 0, 1_000_000),
}

// flooded counts what was tried.
type flooded struct{ connections, packets, bytes atomic.Int64 }

func (f *flooded) all(t *testing.T, o Options, connections, bound int) {
	mux := new(Mux)
	mux.Handle(0, "Wait", until(nil))
	mux.Handle(1, "Large", HandlerFunc(func(context.Context, Request) (Response, error) {
		return Response{Payload: zeros[:1<<20]}, nil
	}))
	o.Handler, o.ReadTimeout, o.WriteTimeout = mux, time.Hour, time.Hour // nobody is cut off for being slow
	for name, next := range floods {
		t.Run(name, func(t *testing.T) {
			before := heap()
			var most int64
			var flooding sync.WaitGroup
			for range connections {
				near, far := sockets(t, "unix")
				mustConn(t, near, o)
				t.Cleanup(func() { far.Close() })
				flooding.Go(func() { f.flood(far, next, strings.HasSuffix(name, "a packet")) })
			}
			f.connections.Add(int64(connections))
			done := make(chan struct{})
			go func() { flooding.Wait(); close(done) }()
			for sampling := true; sampling; most = max(most, heap()-before) {
				select {
				case <-done:
					sampling = false
				case <-time.After(50 * time.Millisecond):
				}
			}
			if most > int64(bound) {
				t.Errorf("%d MiB in use, the bound is %d MiB", most>>20, bound>>20)
			}
			t.Logf("at most %.1f MiB in use, the bound is %.1f MiB", float64(most)/(1<<20), float64(bound)/(1<<20))
		})
		if o.Budget != nil {
			eventually(t, "the budget is whole again", func() bool { return o.Budget.Used() == 0 })
		}
	}
}

// flood sends until it is cut off, or not read from for a while.
func (f *flooded) flood(far net.Conn, next flood, once bool) {
	_ = far.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	for tag := uint64(2); tag < 20_000; tag++ {
		packet := next(tag)
		n, err := packet.WriteTo(far)
		f.bytes.Add(n)
		if err != nil {
			return
		}
		f.packets.Add(1)
		if once {
			return
		}
	}
}
