package main

import (
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// scaling is what -scale can be told.
type scaling struct {
	on       bool
	parts    string
	idle     string
	storm    int
	requests int
	task     string
}

func scaleFlags() *scaling {
	s := new(scaling)
	parts := []string{partIdle, partStorm}
	for _, c := range growthCurves {
		parts = append(parts, c.part)
	}
	parts = append(parts, partAge)
	flag.BoolVar(&s.on, "scale", false, "measure growth; with -report: report on it")
	flag.StringVar(&s.parts, "parts", strings.Join(parts, ","), "comma-separated parts of -scale")
	flag.StringVar(&s.idle, "idle", "1000,5000,most", "comma-separated counts of idle connections of -scale; most: what descriptors allow")
	flag.IntVar(&s.storm, "storm", 2000, "connections of a storm of -scale")
	flag.IntVar(&s.requests, "requests", 1e8, "requests on the connection that -scale ages")
	flag.StringVar(&s.task, "scale-task", "", "measure one task of -scale, as it gives it to a process of its own")
	return s
}

// scalePeers are measured unless others are named.
const scalePeers = "pktsvc,pktsvc-observed," + base

func (s *scaling) run(o options, names string, rounds int, out string) (scaleRun, error) {
	if names == "" {
		names = scalePeers
	}
	m := scaleRun{
		options: o, peers: strings.Split(names, ","), parts: strings.Split(s.parts, ","), rounds: rounds,
		storm: s.storm, requests: s.requests, curves: growthCurves, out: out,
	}
	most, err := mostConnections()
	if err != nil {
		return m, err
	}
	for _, word := range strings.Split(s.idle, ",") {
		n := most
		if word != "most" {
			if n, err = strconv.Atoi(word); err != nil || n < 1 {
				return m, fmt.Errorf("-idle: %q is no count of connections", word)
			}
		}
		if n <= most {
			m.idle = append(m.idle, n)
		}
	}
	slices.Sort(m.idle)
	m.idle = slices.Compact(m.idle)
	if len(m.idle) == 0 {
		return m, fmt.Errorf("-idle: descriptors allow only %d connections", most)
	}
	return m, nil
}

// mostConnections are nine tenths of the descriptors of a process, whose soft limit Go
// raises to the hard one when it starts. Beyond enoughConnections nothing new is seen.
func mostConnections() (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, err
	}
	return int(min(limit.Cur, enoughConnections)) / 10 * 9, nil
}

const enoughConnections = 60_000
