package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// base is the peer to which other libraries are compared.
const base = "grpc"

// row is what a peer has shown on a cell: medians over the rounds.
type row struct {
	peer          string
	ops           float64
	ratio         float64 // to base: the median of the rounds' ratios
	low, high     float64 // of the rounds' ratios
	unsure        float64 // twice the standard error of the rounds' ratios
	p50, p99      float64
	p999          float64
	client        float64 // CPU, µs a call
	server        float64
	clientAllocs  float64
	serverAllocs  float64
	serverMiB     float64
	rounds, tried int
	err           string // of a round that failed
}

// results are all runs, by cell and peer, the cells in the order of the file.
type results struct {
	base  string // the peer to which the others are compared
	cells []cell
	runs  map[cell]map[string][]Result
}

func readResults(files []string, base string) (results, error) {
	all := results{base: base, runs: make(map[cell]map[string][]Result)}
	for _, name := range files {
		if err := all.read(name); err != nil {
			return all, err
		}
	}
	return all, nil
}

func (all *results) read(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var r Result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if all.runs[r.Cell] == nil {
			all.runs[r.Cell] = make(map[string][]Result)
			all.cells = append(all.cells, r.Cell)
		}
		all.runs[r.Cell][r.Peer] = append(all.runs[r.Cell][r.Peer], r)
	}
	return lines.Err()
}

// rows are the peers on a cell, the fastest first.
func (all *results) rows(c cell) (rows []row) {
	baseOps := make(map[int]float64) // by round
	for _, r := range all.runs[c][all.base] {
		baseOps[r.Round] = r.Ops
	}
	for peer, runs := range all.runs[c] {
		to := row{peer: peer, tried: len(runs)}
		var ok []Result
		var ratios []float64
		for _, r := range runs {
			if r.Err != "" {
				to.err = r.Err
				continue
			}
			ok = append(ok, r)
			if ops := baseOps[r.Round]; ops > 0 {
				ratios = append(ratios, r.Ops/ops)
			}
		}
		to.rounds = len(ok)
		if len(ratios) > 0 {
			to.ratio, to.low, to.high = median(ratios), slices.Min(ratios), slices.Max(ratios)
			to.unsure = 2 * standardError(ratios)
		}
		for _, of := range []struct {
			to *float64
			is func(Result) float64
		}{
			{&to.ops, func(r Result) float64 { return r.Ops }},
			{&to.p50, func(r Result) float64 { return r.P50 }},
			{&to.p99, func(r Result) float64 { return r.P99 }},
			{&to.p999, func(r Result) float64 { return r.P999 }},
			{&to.client, func(r Result) float64 { return r.ClientCPU }},
			{&to.server, func(r Result) float64 { return r.ServerCPU }},
			{&to.clientAllocs, func(r Result) float64 { return r.ClientAllocs }},
			{&to.serverAllocs, func(r Result) float64 { return r.ServerAllocs }},
			{&to.serverMiB, func(r Result) float64 { return r.ServerMiB }},
		} {
			values := make([]float64, len(ok))
			for i, r := range ok {
				values[i] = of.is(r)
			}
			*of.to = median(values)
		}
		rows = append(rows, to)
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(b.ops, a.ops), cmp.Compare(a.peer, b.peer))
	})
	return rows
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// standardError is that of the mean; 0 of less than two.
func standardError(v []float64) float64 {
	if len(v) < 2 {
		return 0
	}
	n, mean, squares := float64(len(v)), 0., 0.
	for _, x := range v {
		mean += x / n
	}
	for _, x := range v {
		squares += (x - mean) * (x - mean)
	}
	return math.Sqrt(squares / (n - 1) / n)
}

// writeReport writes peers.md and peers.svg.
func writeReport(files []string, dir string) error {
	all, err := readResults(files, base)
	if err != nil {
		return err
	}
	if len(all.cells) == 0 {
		return errors.New("there are no results in " + strings.Join(files, ", "))
	}
	var text strings.Builder
	all.markdown(&text)
	if err := os.WriteFile(filepath.Join(dir, "peers.md"), []byte(text.String()), 0o644); err != nil {
		return err
	}
	return all.plot(filepath.Join(dir, "peers.svg"))
}

func (all *results) markdown(w io.Writer) {
	fmt.Fprintf(w, "# Side by side\n\nUnary echo of raw bytes over loopback TCP between two processes, written by `make bench-peers` on %s.\n\n%s. %s.\n\n",
		time.Now().UTC().Format(time.DateOnly), machine(), versions())
	fmt.Fprintf(w, "Each figure is the median over rounds in which the peers took turns. The ratios to %s are those of the same round, with the lowest and the highest in brackets.\n", base)
	fmt.Fprintf(w, "`rawtcp` and `rawpipe` are no libraries but floors of work: one ping-pong of bytes, and tagged frames batched both ways without dispatch or blocked callers.\n")
	fmt.Fprintf(w, "\n![calls per second of each peer](peers.svg)\n\n## Calls per second, and ratio to %s\n\n| |", base)
	for _, c := range all.cells {
		fmt.Fprintf(w, " %s |", c)
	}
	fmt.Fprintf(w, "\n|---|%s\n", strings.Repeat("--:|", len(all.cells)))
	table := make(map[cell]map[string]row)
	names := make(map[string]bool)
	for _, c := range all.cells {
		table[c] = make(map[string]row)
		for _, r := range all.rows(c) {
			table[c][r.peer], names[r.peer] = r, true
		}
	}
	for _, peer := range slices.Sorted(maps.Keys(names)) {
		fmt.Fprintf(w, "| %s |", peer)
		for _, c := range all.cells {
			if r, there := table[c][peer]; there {
				fmt.Fprintf(w, " %s |", figure(r))
			} else {
				fmt.Fprint(w, " |")
			}
		}
		fmt.Fprintln(w)
	}
	for _, c := range all.cells {
		fmt.Fprintf(w, "\n## %s\n\n| peer | calls/s | × %s | p50 µs | p99 µs | p99.9 µs | CPU µs a call, client + server | allocations, client + server | server's peak MiB | rounds |\n", c, base)
		fmt.Fprintln(w, "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
		for _, r := range all.rows(c) {
			if r.rounds == 0 {
				fmt.Fprintf(w, "| %s | failed: %s |\n", r.peer, strings.NewReplacer("|", "/", "\n", " ").Replace(r.err))
				continue
			}
			fmt.Fprintf(w, "| %s | %.0f | %.2f (%.2f to %.2f) | %.0f | %.0f | %.0f | %.2f + %.2f | %.1f + %.1f | %.0f | %d of %d |\n",
				r.peer, r.ops, r.ratio, r.low, r.high, r.p50, r.p99, r.p999, r.client, r.server, r.clientAllocs, r.serverAllocs, r.serverMiB, r.rounds, r.tried)
		}
	}
}

// figure is the calls per second and the ratio, in few characters.
func figure(r row) string {
	switch {
	case r.rounds == 0:
		return "failed"
	case r.ops < 10_000:
		return fmt.Sprintf("%.1f k (%.1f)", r.ops/1000, r.ratio)
	}
	return fmt.Sprintf("%.0f k (%.1f)", r.ops/1000, r.ratio)
}

// machine says where the figures come from.
func machine() string {
	return fmt.Sprintf("%s, %d CPUs, %s/%s, %s", cpuModel(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
}

// versions are those of the modules that are compared.
func versions() string {
	var list []string
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if slices.Contains(compared, m.Path) {
				list = append(list, m.Path+" "+m.Version)
			}
		}
	}
	return strings.Join(list, ", ")
}

// compared are the modules of the peers.
var compared = []string{
	"google.golang.org/grpc", "go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc",
	"github.com/containerd/ttrpc", "storj.io/drpc", "github.com/nats-io/nats.go", "github.com/nats-io/nats-server/v2",
	"connectrpc.com/connect", "github.com/hashicorp/yamux", "github.com/valyala/fasthttp",
}

// cpuModel is the processor's name where the system tells it.
func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				return strings.TrimSpace(value)
			}
		}
	}
	return "processor not known"
}
