package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// The table is between these lines.
const (
	tableBegin = "<!-- written by make bench-stores -->"
	tableEnd   = "<!-- end of make bench-stores -->"
)

func (s settings) report(results []result, into string) error {
	table := s.table(results)
	if into == "" {
		_, err := os.Stdout.WriteString(table)
		return err
	}
	text, err := os.ReadFile(into)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(text), tableBegin+"\n")
	_, after, ended := strings.Cut(rest, tableEnd)
	if !found || !ended {
		return errors.New("there is no place for the table in " + into)
	}
	return os.WriteFile(into, []byte(before+tableBegin+"\n"+table+tableEnd+after), 0o644)
}

func (s settings) table(results []result) string {
	var b strings.Builder
	b.WriteString("| durable when | store | add, MiB/s | get, MiB/s | add, × the backend |\n|---|---|--:|--:|--:|\n")
	for _, durability := range []string{whenFlushed, whenAnswered} {
		var names []string
		for _, r := range results {
			if r.durability == durability && !slices.Contains(names, r.contender) {
				names = append(names, r.contender)
			}
		}
		slices.Sort(names)
		base := median(results, "the backend, no network", durability, func(r result) float64 { return r.add })
		for _, name := range names {
			add := median(results, name, durability, func(r result) float64 { return r.add })
			get := median(results, name, durability, func(r result) float64 { return r.get })
			fmt.Fprintf(&b, "| %s | %s | %.0f | %.0f | %.2f |\n",
				map[string]string{whenFlushed: "flushed", whenAnswered: "answered"}[durability], name, add, get, add/base)
		}
	}
	fmt.Fprintf(&b, "\n%d blocks of %d KiB, %d under way at a time, a flush for every %d; medians of %d rounds. %s, %d CPUs, %s, on %s.\n",
		s.blocks, s.size>>10, s.callers, s.flushEach, s.rounds, cpu(), runtime.NumCPU(), runtime.Version(), time.Now().Format(time.DateOnly))
	return b.String()
}

func median(results []result, name, durability string, value func(result) float64) float64 {
	var all []float64
	for _, r := range results {
		if r.contender == name && r.durability == durability {
			all = append(all, value(r))
		}
	}
	slices.Sort(all)
	if len(all) == 0 {
		return 0
	}
	return all[len(all)/2]
}

// cpu is the name of the processor.
func cpu() string {
	out, err := exec.Command("sh", "-c", "sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1").Output()
	if name := strings.TrimSpace(string(out)); err == nil && name != "" {
		return name
	}
	return runtime.GOARCH
}
