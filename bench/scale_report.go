package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// idleGoal is the memory of an idle connection that the engine is to stay within, in KiB.
const idleGoal = 8

// writeScaleReport writes scale.md and its plots.
func writeScaleReport(files, dir string) error {
	all, err := readPoints(strings.Split(files, ","))
	if err != nil {
		return err
	}
	var text strings.Builder
	all.markdown(&text)
	if err := os.WriteFile(filepath.Join(dir, "scale.md"), []byte(text.String()), 0o644); err != nil {
		return err
	}
	return all.plot(dir)
}

func (all points) markdown(w io.Writer) {
	fmt.Fprintf(w, "# Growth\n\nUnary echo of raw bytes over loopback TCP between two processes, written by `make bench-scale` on %s.\n\n%s. %s.\n\n",
		time.Now().UTC().Format(time.DateOnly), machine(), versions())
	fmt.Fprintf(w, "Figures are medians over rounds in which the peers took turns, each with a server of its own; ratios are those of the same round. "+
		"`pktsvc-observed` has metrics, and traces of which 1 %% are sampled, on both sides. A busy connection has 16 callers of 16 B.\n")
	if len(all.xs(partIdle)) > 0 {
		all.idleSection(w)
	}
	if len(all.xs(partStormBusy)) > 0 {
		all.stormSection(w)
	}
	grown := false
	for _, c := range growthCurves {
		if len(all.xs(c.part)) == 0 {
			continue
		}
		if !grown {
			fmt.Fprint(w, "\n## Growth of a load\n\nCPU is of client and server together.\n\n![CPU of a call and calls per second](scale-growth.svg)\n")
			grown = true
		}
		all.growthSection(w, c)
	}
	if len(all.xs(partAge)) > 0 {
		all.ageSection(w)
	}
	if failed := all.failed(); len(failed) > 0 {
		fmt.Fprint(w, "\n## Runs that failed\n\n| part | peer | round | at | error |\n|---|---|--:|--:|---|\n")
		for _, p := range failed {
			fmt.Fprintf(w, "| %s | %s | %d | %s | %s |\n", p.Part, p.Peer, p.Round, thousands(p.X), strings.NewReplacer("|", "/", "\n", " ").Replace(p.Err))
		}
	}
}

func (all points) idleSection(w io.Writer) {
	fmt.Fprint(w, "\n## Idle connections\n\n")
	for _, peer := range all.peers(partIdle) {
		kib, from, to := all.slope(peer, residentOf)
		if to == 0 {
			continue
		}
		verdict := ""
		if peer == "pktsvc" {
			verdict = fmt.Sprintf(": within the goal of %d KiB", idleGoal)
			if kib > idleGoal {
				verdict = fmt.Sprintf(": over the goal of %d KiB", idleGoal)
			}
		}
		fmt.Fprintf(w, "- %s: **%.1f KiB** for each, from %s to %s%s\n", peer, kib, thousands(from), thousands(to), verdict)
	}
	fmt.Fprint(w, `
Resident memory of the server when each connection has made one call and nothing goes on: settled, which is
after three collections, as it is in a server without work after some minutes, and as it was before them.
What the system holds for sockets is in neither. A measurement is made after a busy one,
so that what a load leaves behind counts without idle connections, too.

![memory and a busy connection over idle connections](scale-idle.svg)

| peer | idle connections | settled MiB | before MiB | KiB for each more | of it heap | of it stacks | goroutines |
|---|--:|--:|--:|--:|--:|--:|--:|
`)
	for _, peer := range all.peers(partIdle) {
		last := -1
		for _, x := range all.xs(partIdle) {
			ps := all.of(partIdle, peer, x)
			if len(ps) == 0 {
				continue
			}
			all.memoryRow(w, peer, thousands(x), ps)
			if last < 0 {
				fmt.Fprint(w, " | | |")
			} else {
				for _, of := range []func(Point) float64{residentOf, heapOf, stackOf} {
					fmt.Fprintf(w, " %.1f |", all.perConnection(peer, last, x, of))
				}
			}
			last = x
			fmt.Fprintf(w, " %.0f |\n", ps.median(goroutinesOf))
		}
		if ps := all.of(partIdleGone, peer, 0); len(ps) > 0 {
			all.memoryRow(w, peer, "they have gone", ps)
			fmt.Fprintf(w, " | | | %.0f |\n", ps.median(goroutinesOf))
		}
	}
	fmt.Fprint(w, "\nA busy connection beside them:\n\n| peer | idle connections | calls/s | × without | p50 µs | p99 µs | × without |\n|---|--:|--:|--:|--:|--:|--:|\n")
	for _, peer := range all.peers(partIdle) {
		without := all.of(partIdle, peer, 0)
		busyRow := func(name string, ps points) {
			if len(ps) > 0 {
				fmt.Fprintf(w, "| %s | %s | %.0f | %.2f | %.0f | %.0f | %.2f |\n", peer, name, ps.median(opsOf), ps.against(without, ratioOf(opsOf)),
					ps.median(func(p Point) float64 { return p.P50 }), ps.median(p99Of), ps.against(without, ratioOf(p99Of)))
			}
		}
		for _, x := range all.xs(partIdle) {
			busyRow(thousands(x), all.of(partIdle, peer, x))
		}
		busyRow("they have gone", all.of(partIdleGone, peer, 0))
	}
}

func heapOf(p Point) float64       { return p.Memory.Heap }
func stackOf(p Point) float64      { return p.Memory.Stack }
func goroutinesOf(p Point) float64 { return float64(p.Memory.Goroutines) }

// ratioOf is what a figure is of the other point's.
func ratioOf(of func(Point) float64) func(p, other Point) float64 {
	return func(p, other Point) float64 {
		if of(other) == 0 {
			return 0
		}
		return of(p) / of(other)
	}
}

func (all points) memoryRow(w io.Writer, peer, name string, ps points) {
	fmt.Fprintf(w, "| %s | %s | %.1f | %.1f |", peer, name, ps.median(residentOf), ps.median(func(p Point) float64 { return p.Memory.Before }))
}

func (all points) stormSection(w io.Writer) {
	x := all.xs(partStormBusy)[0]
	fmt.Fprintf(w, "\n## Accept storm\n\n%s connections, %d dialled at a time, each of which makes one call and is closed; from a process of their own. "+
		"A busy connection is measured without the storm, and beside it.\n\n", thousands(x), dialling)
	fmt.Fprintf(w, "| peer | connections/s, alone | × %s | beside a busy one | busy calls/s, without | beside the storm | p99 µs, without | beside the storm | × without |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|\n", base)
	opened := func(p Point) float64 { return p.Opened }
	for _, peer := range all.peers(partStormBusy) {
		alone, quiet, both := all.of(partStorm, peer, x), all.of(partStormQuiet, peer, 0), all.of(partStormBusy, peer, x)
		fmt.Fprintf(w, "| %s | %.0f | %.1f | %.0f | %.0f | %.0f | %.0f | %.0f | %.1f |\n", peer, alone.median(opened),
			alone.against(all.of(partStorm, base, x), ratioOf(opened)), both.median(opened),
			quiet.median(opsOf), both.median(opsOf), quiet.median(p99Of), both.median(p99Of), both.against(quiet, ratioOf(p99Of)))
	}
}

func (all points) growthSection(w io.Writer, c curve) {
	fmt.Fprintf(w, "\n### %s\n\n| %s |", strings.ToUpper(c.title[:1])+c.title[1:], c.axis)
	names := all.peers(c.part)
	for _, peer := range names {
		fmt.Fprintf(w, " %s: calls/s | CPU µs | p99 µs |", peer)
	}
	fmt.Fprintf(w, "\n|--:|%s\n", strings.Repeat("--:|", 3*len(names)))
	for _, x := range all.xs(c.part) {
		fmt.Fprintf(w, "| %s |", c.label(x))
		for _, peer := range names {
			if ps := all.of(c.part, peer, x); len(ps) > 0 {
				fmt.Fprintf(w, " %.0f | %.2f | %.0f |", ps.median(opsOf), ps.median(cpuOf), ps.median(p99Of))
			} else {
				fmt.Fprint(w, " failed | | |")
			}
		}
		fmt.Fprintln(w)
	}
}

func (all points) ageSection(w io.Writer) {
	xs := all.xs(partAge)
	fmt.Fprintf(w, "\n## Age of a connection\n\nRequests of %d B by `Conn.Go`, %s in flight on one connection (`%s`). Each line has what those since the line above have cost, "+
		"and the settled memory of both processes when they were answered. The first lines are short: they have the start, and what measuring itself takes.\n\n"+
		"![CPU of a call and memory over the requests made](scale-age.svg)\n\n", agedSize, thousands(agedInFlight), agedPeer)
	fmt.Fprint(w, "| requests made | calls/s | CPU µs a call, client + server | server MiB | its heap | client MiB |\n|--:|--:|--:|--:|--:|--:|\n")
	for _, x := range xs {
		ps := all.of(partAge, agedPeer, x)
		fmt.Fprintf(w, "| %s | %.0f | %.2f + %.2f | %.1f | %.1f | %.1f |\n", thousands(x), ps.median(opsOf),
			ps.median(func(p Point) float64 { return p.ClientCPU }), ps.median(func(p Point) float64 { return p.ServerCPU }),
			ps.median(residentOf), ps.median(heapOf), ps.median(func(p Point) float64 { return p.Memory.Client }))
	}
	const billion = 1_000_000_000
	if last := xs[len(xs)-1]; last < billion {
		if ops := all.of(partAge, agedPeer, last).median(opsOf); ops > 0 {
			fmt.Fprintf(w, "\n%s requests take %.0f minutes more at the last line's rate: `bench -scale -parts %s -requests %d`.\n",
				thousands(billion), (billion-float64(last))/ops/60, partAge, billion)
		}
	}
}
