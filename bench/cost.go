package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// costs are the peers that show what observation costs, each with all that those before it
// have, and what they are called in the table.
var costs = []struct{ peer, name string }{
	{"pktsvc", "off"},
	{"pktsvc-metrics", "metrics"},
	{"pktsvc-recorder", "metrics, recorder"},
	{"pktsvc-observed", "metrics, recorder, 1 % sampled"},
	{"pktsvc-rule", "metrics, recorder, 1 % sampled, a rule that takes each 1,000th"},
	{"pktsvc-traced", "metrics, recorder, 100 % sampled"},
}

const costCells = "16x1x1,16x64x1,16x1024x1"

// comparedPeers are those to compare: all but the ones that only show what a part of
// observation costs.
func comparedPeers() []string {
	compared := maps.Clone(peers)
	for _, c := range costs {
		if c.peer != "pktsvc" && c.peer != "pktsvc-observed" {
			delete(compared, c.peer)
		}
	}
	return slices.Sorted(maps.Keys(compared))
}

// costPeers are those that are switched, each with a base of its own.
func costPeers() (names []string) {
	for _, c := range costs[1:] {
		names = append(names, c.peer)
	}
	return names
}

// The table stands between these in the README.
const (
	costBegin = "<!-- written by make bench-cost -->\n"
	costEnd   = "<!-- end -->\n"
)

// writeCost writes the table of results into a README, in the place of the one that is
// there.
func writeCost(file, readme string) error {
	all, err := readResults([]string{file}, costs[0].peer)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Clean(readme))
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(text), costBegin)
	_, after, ended := strings.Cut(rest, costEnd)
	if !found || !ended {
		return fmt.Errorf("%s has no place for the table, between %q and %q", readme, costBegin, costEnd)
	}
	var table strings.Builder
	if err := all.costTable(&table); err != nil {
		return err
	}
	return os.WriteFile(readme, []byte(before+costBegin+table.String()+costEnd+after), 0o644)
}

func (all *results) costTable(w io.Writer) error {
	if len(all.cells) == 0 {
		return errors.New("there are no results")
	}
	fmt.Fprint(w, "| on both sides |")
	for _, c := range all.cells {
		fmt.Fprintf(w, " %d B, callers: %d |", c.Size, c.Callers)
	}
	fmt.Fprintf(w, " CPU µs a call | allocations a call |\n|---|%s--:|--:|\n", strings.Repeat("--:|", len(all.cells)))
	for _, cost := range costs {
		fmt.Fprintf(w, "| %s |", cost.name)
		var cpu, allocs []string
		for _, c := range all.cells {
			r, err := all.row(c, cost.peer)
			if err != nil {
				return err
			}
			if cost.peer == all.base {
				fmt.Fprintf(w, " %.0f k/s |", r.ops/1000)
			} else {
				fmt.Fprintf(w, " %.0f k/s, ×&nbsp;%.2f&nbsp;±&nbsp;%.2f |", r.ops/1000, r.ratio, r.unsure)
			}
			cpu = append(cpu, fmt.Sprintf("%.2f", r.client+r.server))
			allocs = append(allocs, fmt.Sprintf("%.2f", r.clientAllocs+r.serverAllocs))
		}
		fmt.Fprintf(w, " %s | %s |\n", strings.Join(cpu, ", "), strings.Join(allocs, ", "))
	}
	_, err := fmt.Fprintf(w, "\n%s, on %s. Medians over %d rounds; × is to \"off\" on the same connection of the same two processes, which was switched off and on in turns, ± twice the standard error.\n",
		machine(), time.Now().UTC().Format(time.DateOnly), len(all.runs[all.cells[0]][costs[1].peer]))
	return err
}

// row is that of one peer.
func (all *results) row(c cell, peer string) (row, error) {
	for _, r := range all.rows(c) {
		if r.peer == peer {
			if r.rounds == 0 {
				return r, fmt.Errorf("%s on %s: %s", peer, c, r.err)
			}
			return r, nil
		}
	}
	return row{}, fmt.Errorf("%s was not measured on %s", peer, c)
}
