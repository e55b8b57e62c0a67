package stream

import (
	"math/rand/v2"
	"time"

	"github.com/pktsvc/pktsvc/internal/simnet"
)

// simPlan is everything that a seed decides.
type simPlan struct {
	seed   uint64
	length time.Duration // of virtual time in which requests are made
	budget int           // 0: none
	links  []simLinkPlan
}

type simLinkPlan struct {
	reconnects bool // side 0 is a Client
	profiles   [2]simnet.Profile
	options    [2]Options // without what the world adds
	callers    [2]int
	requests   int // of each caller
	large      int // payloads are shorter
	deadlines  time.Duration
	faults     []simFault
	end        string
}

// simFault is what the network does to a link.
type simFault struct {
	name string
	at   time.Duration
	side int
	long time.Duration // how long it holds a direction up
	byte int           // which one to corrupt, from then on
	mask byte
}

// Held up for up to simPatience, a link only gets slow: all timeouts are longer.
const (
	simPatience = 9 * time.Second
	simTimeout  = 20 * time.Second
	simSlowest  = 1000 // bytes a second
)

// Faults with which a connection may go on, and those with which it ends.
var (
	simDelays = []string{"hold"}
	simBreaks = []string{"hold for long", "vanish", "reset", "half-close", "corrupt", "break reading", "break writing", "close"}
	simEnds   = []string{"both shut down", "one shuts down", "closed", "reset", "in no time"}
)

func oneOf[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// chance is true once in n times.
func chance(r *rand.Rand, n int) bool { return r.IntN(n) == 0 }

func upTo(r *rand.Rand, d time.Duration) time.Duration { return 1 + time.Duration(r.Int64N(int64(d))) }

// newSimPlan draws a plan: mostly some busy links, at times many, at times hours.
func newSimPlan(seed uint64) *simPlan {
	r := rand.New(rand.NewPCG(seed, 0))
	p := &simPlan{seed: seed, length: upTo(r, oneOf(r, time.Second, time.Minute, time.Hour, 12*time.Hour))}
	links, callers, requests := 1+r.IntN(4), 6, 12
	switch {
	case chance(r, 500):
		links, callers, requests = 1000+r.IntN(3000), 1, 1
	case chance(r, 10):
		callers, requests = 40, 4
	}
	if chance(r, 4) {
		p.budget = links * (64<<10 + r.IntN(1<<20))
	}
	for range links {
		p.links = append(p.links, p.newLink(r, callers, requests))
	}
	return p
}

func (p *simPlan) newLink(r *rand.Rand, callers, requests int) simLinkPlan {
	l := simLinkPlan{
		reconnects: chance(r, 3),
		callers:    [2]int{1 + r.IntN(callers), r.IntN(callers + 1)},
		requests:   1 + r.IntN(requests),
		large:      oneOf(r, 1, 100, 5000, 100_000),
		deadlines:  oneOf(r, 10*time.Millisecond, time.Second, time.Minute),
		end:        oneOf(r, simEnds...),
	}
	for side := range 2 {
		l.profiles[side] = newSimProfile(r, &l.large)
		l.options[side] = newSimOptions(r)
	}
	if l.profiles[0].Bandwidth == simSlowest || l.profiles[1].Bandwidth == simSlowest {
		l.options[0].PingInterval, l.options[1].PingInterval = -1, -1 // what is under way takes minutes
	}
	for range r.IntN(3) {
		l.faults = append(l.faults, p.newFault(r, simDelays))
	}
	if chance(r, 2) {
		l.faults = append(l.faults, p.newFault(r, simBreaks))
	}
	return l
}

func newSimProfile(r *rand.Rand, large *int) simnet.Profile {
	if chance(r, 4) {
		return simnet.Profile{}
	}
	p := simnet.Profile{
		Latency:   oneOf(r, 0, 50*time.Microsecond, 20*time.Millisecond, 400*time.Millisecond),
		Jitter:    oneOf(r, 0, 0, 10*time.Millisecond),
		Bandwidth: oneOf(r, 0, simSlowest, 1<<17, 1<<30),
		Buffer:    oneOf(r, 1, 1000, 64<<10, 1<<20),
		Chunk:     oneOf(r, 0, 0, 1, 100),
	}
	// A byte at a time is slow work for the test, not for the engine.
	switch {
	case p.Buffer == 1 || p.Chunk == 1:
		*large = min(*large, 20)
	case p.Bandwidth == simSlowest || p.Buffer == 1000 || p.Chunk == 100:
		*large = min(*large, 2000)
	}
	return p
}

func newSimOptions(r *rand.Rand) Options {
	return Options{
		MaxPacket:      200_000,
		MaxHandlers:    oneOf(r, 1, 3, 0),
		MaxQueued:      oneOf(r, 1, 10, 0),
		MaxQueuedBytes: oneOf(r, 3000, 0),
		MaxInFlight:    oneOf(r, 1, 7, 0),
		SendBuffer:     oneOf(r, 1, 1000, 0),
		FlushDelay:     oneOf(r, 0, 0, 10*time.Millisecond),
		WriteTimeout:   simTimeout,
		ReadTimeout:    simTimeout,
		PauseTimeout:   oneOf(r, 100*time.Millisecond, 5*time.Second),
		DrainTimeout:   oneOf(r, time.Millisecond, time.Second),
		Linger:         oneOf(r, time.Millisecond, 2*time.Second),
		PingInterval:   oneOf(r, 0, time.Second),
		PingTimeout:    2 * simTimeout, // all that is under way, and two delays
		IdleTimeout:    oneOf(r, 0, 0, 0, time.Minute),
		MaxAge:         oneOf(r, 0, 0, 0, 10*time.Minute),
	}
}

func (p *simPlan) newFault(r *rand.Rand, names []string) simFault {
	f := simFault{
		name: oneOf(r, names...), at: upTo(r, p.length), side: r.IntN(2),
		long: upTo(r, simPatience), byte: r.IntN(300), mask: byte(1 + r.IntN(255)),
	}
	if f.name == "hold for long" {
		f.long += simTimeout
	}
	if f.name == "vanish" && !chance(r, 4) {
		f.at /= 8 // there must be time to find the peer dead
	}
	return f
}
