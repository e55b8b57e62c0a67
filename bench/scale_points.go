package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// points are what -scale has measured.
type points []Point

func readPoints(files []string) (all points, err error) {
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(strings.NewReader(string(text)))
		for lines.Scan() {
			var p Point
			if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if p.Part == "" {
				return nil, fmt.Errorf("%s: not results of -scale", name)
			}
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("there are no results in " + strings.Join(files, ", "))
	}
	return all, nil
}

// of are the rounds of a peer on a part at x that did not fail.
func (all points) of(part, peer string, x int) (some points) {
	for _, p := range all {
		if p.Part == part && p.Peer == peer && p.X == x && p.Err == "" {
			some = append(some, p)
		}
	}
	return some
}

func (all points) failed() (some points) {
	for _, p := range all {
		if p.Err != "" {
			some = append(some, p)
		}
	}
	return some
}

// xs are those of a part, rising.
func (all points) xs(part string) (xs []int) {
	for _, p := range all {
		if p.Part == part && p.Err == "" {
			xs = append(xs, p.X)
		}
	}
	slices.Sort(xs)
	return slices.Compact(xs)
}

// peers are those of a part in the order of their names, but the one to compare with at
// the end.
func (all points) peers(part string) (names []string) {
	for _, p := range all {
		if p.Part == part && p.Err == "" && p.Peer != base {
			names = append(names, p.Peer)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if slices.ContainsFunc(all, func(p Point) bool { return p.Part == part && p.Err == "" && p.Peer == base }) {
		names = append(names, base)
	}
	return names
}

// median is over the rounds.
func (all points) median(of func(Point) float64) float64 {
	values := make([]float64, len(all))
	for i, p := range all {
		values[i] = of(p)
	}
	return median(values)
}

// against is the median of what f makes of the points of two kinds of the same round.
func (all points) against(others points, f func(p, other Point) float64) float64 {
	var values []float64
	for _, p := range all {
		for _, other := range others {
			if p.Round == other.Round {
				values = append(values, f(p, other))
			}
		}
	}
	return median(values)
}

func opsOf(p Point) float64 { return p.Ops }
func p99Of(p Point) float64 { return p.P99 }
func cpuOf(p Point) float64 { return p.ClientCPU + p.ServerCPU }
func residentOf(p Point) float64 {
	return p.Memory.Resident
}

// perConnection is in KiB, from a count of idle connections to another.
func (all points) perConnection(peer string, from, to int, of func(Point) float64) float64 {
	return all.of(partIdle, peer, to).against(all.of(partIdle, peer, from), func(p, other Point) float64 {
		return (of(p) - of(other)) * 1024 / float64(to-from)
	})
}

// slope is in KiB a connection, from the smallest count that is not 0 to the largest:
// so it has nothing of what the process takes once.
func (all points) slope(peer string, of func(Point) float64) (kib float64, from, to int) {
	for _, x := range all.xs(partIdle) {
		if x == 0 || len(all.of(partIdle, peer, x)) == 0 {
			continue
		}
		if from == 0 {
			from = x
		}
		to = x
	}
	if from == to {
		from = 0
	}
	if to == 0 {
		return 0, 0, 0
	}
	return all.perConnection(peer, from, to, of), from, to
}
