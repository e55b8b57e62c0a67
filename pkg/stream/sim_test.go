package stream

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// By default a few networks are simulated; CI sets more.
const (
	simSeeds         = 150
	simSeedsVariable = "PKTSVC_SIM_SEEDS" // how many
	simSeedVariable  = "PKTSVC_SIM_SEED"  // the first
	simEnough        = 50                 // of each thing that is counted, when there are 10,000 seeds
	simBatch         = 50                 // seeds after which buffers are counted
)

// Simulated networks, one for each seed: links of every speed, with faults, on which
// both sides ask, for up to hours of virtual time. At the end every request has its
// one outcome, nothing is left, and no end has taken longer than it may.
func TestSimulatedNetworks(t *testing.T) {
	first, seeds := uint64(simNumber(t, simSeedVariable, int(time.Now().UnixNano()>>20))), simNumber(t, simSeedsVariable, simSeeds)
	t.Logf("again with: %s=%d %s=%d go test ./pkg/stream -run TestSimulatedNetworks", simSeedVariable, first, simSeedsVariable, seeds)
	counts := newSimCounts()
	for from := 0; from < seeds && !t.Failed(); from += simBatch {
		held := buffersHeld.Load()
		var next atomic.Int64
		next.Store(int64(from))
		to := min(from+simBatch, seeds)
		t.Run(fmt.Sprintf("from %d", first+uint64(from)), func(t *testing.T) {
			for range runtime.GOMAXPROCS(0) {
				t.Run("", func(t *testing.T) {
					t.Parallel()
					for i := int(next.Add(1)) - 1; i < to && !t.Failed(); i = int(next.Add(1)) - 1 {
						simulate(t, first+uint64(i), counts)
					}
				})
			}
		})
		if n := buffersHeld.Load() - held; n != 0 {
			t.Errorf("seeds from %d: %d buffers are not given back", first+uint64(from), n)
		}
	}
	counts.report(t, seeds)
}

func simNumber(t *testing.T, variable string, otherwise int) int {
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// simSeldom are reasons that come about by chance too seldom; the model test has
// them all.
var simSeldom = map[string]bool{"reason malformed": true, "reason oversize": true, "reason not_packets": true, "reason overload": true}

// simulate runs one seed, and names it when it neither ends nor fails.
func simulate(t *testing.T, seed uint64, counts *simCounts) {
	alarm := time.AfterFunc(time.Minute, func() { fmt.Fprintf(os.Stderr, "seed %d does not end\n", seed) })
	defer alarm.Stop()
	defer func() {
		if r := recover(); r != nil {
			panic(fmt.Sprintf("seed %d: %v", seed, r))
		}
	}()
	synctest.Test(t, func(t *testing.T) { newSimPlan(seed).run(t, counts) })
}

// simCounts is what all seeds together have tried.
type simCounts struct {
	mu                           sync.Mutex
	by                           map[string]int // kind and name
	seeds, connections, requests int
	packets, bytes               uint64
	virtual                      time.Duration
}

func newSimCounts() *simCounts {
	c := &simCounts{by: make(map[string]int)}
	for _, name := range slices.Concat(simDelays, simBreaks) {
		c.by["fault "+name] = 0
	}
	for _, name := range simEnds {
		c.by["end "+name] = 0
	}
	for o := OutcomeOK; o < NumOutcomes; o++ {
		c.by["outcome "+o.String()] = 0
	}
	for r := ReasonShutdown; r < NumReasons; r++ {
		c.by["reason "+r.String()] = 0
	}
	return c
}

func (c *simCounts) add(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by[name]++
}

// total adds the books of one seed.
func (c *simCounts) total(connections, requests int, packets, bytes uint64, virtual time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seeds++
	c.connections += connections
	c.requests += requests
	c.packets += packets
	c.bytes += bytes
	c.virtual += virtual
}

func (c *simCounts) report(t *testing.T, seeds int) {
	names := make([]string, 0, len(c.by))
	for name := range c.by {
		names = append(names, name)
	}
	slices.Sort(names)
	var table strings.Builder
	for _, name := range names {
		fmt.Fprintf(&table, "%10d %s\n", c.by[name], name)
		if seeds >= 10_000 && c.by[name] < simEnough && !simSeldom[name] {
			t.Errorf("%s: only %d, want at least %d", name, c.by[name], simEnough)
		}
	}
	t.Logf("\n%s", &table)
	t.Logf("guarantee: TestSimulatedNetworks %d seeds, %d connections, %d requests, %d packets, %d bytes, %.0f hours of virtual time",
		c.seeds, c.connections, c.requests, c.packets, c.bytes, c.virtual.Hours())
}
