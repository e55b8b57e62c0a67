// Command bench measures RPC libraries side by side: a unary echo of raw bytes
// between two processes on loopback, one peer per file.
//
//	bench -peer pktsvc -size 16 -callers 64      one run, one line of JSON
//	bench -matrix -out results.jsonl             all peers that are compared on all cells, interleaved
//	bench -report results.jsonl -into DIR        table and plot from such lines
//	bench -scale -out scale.jsonl                growth over connections, callers, payload and age
//	bench -scale -report scale.jsonl -into DIR   tables and plots from those
package main

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// options of one run, the same for the client's and the server's process.
type options struct {
	peer          string
	size          int // bytes of a payload
	callers       int // of each connection
	conns         int
	duration      time.Duration // measured
	turns         int           // in how many parts, with others between; 0: in one
	switched      bool          // once without and once with observation, in turns
	warm          time.Duration // before it
	clientProfile string
	serverProfile string
	heapProfile   string
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	var o options
	flag.StringVar(&o.peer, "peer", "pktsvc", "peer of a single run (see -list)")
	flag.IntVar(&o.size, "size", 16, "bytes of a payload")
	flag.IntVar(&o.callers, "callers", 64, "callers of each connection")
	flag.IntVar(&o.conns, "conns", 1, "connections")
	flag.DurationVar(&o.duration, "duration", time.Second, "measured time")
	flag.IntVar(&o.turns, "turns", 0, "measure in so many parts, each when a line with \"turn\" is read; of -matrix: in so many turns with the others")
	flag.BoolVar(&o.switched, "switch", false, "switch the peer's observation off and on, and measure -duration of either, in so many -turns (default of 10 ms each)")
	flag.DurationVar(&o.warm, "warm", 300*time.Millisecond, "time before it")
	flag.StringVar(&o.clientProfile, "client-profile", "", "write the client's CPU profile to this file")
	flag.StringVar(&o.serverProfile, "server-profile", "", "write the server's CPU profile to this file")
	flag.StringVar(&o.heapProfile, "server-heap-profile", "", "write the server's heap with the most idle connections of -scale to this file")
	serve := flag.Bool("serve", false, "be the server's process")
	list := flag.Bool("list", false, "list the peers")
	matrix := flag.Bool("matrix", false, "measure all -peers on all -cells, interleaved")
	names := flag.String("peers", "", "comma-separated peers of -matrix (default: all but those of -cost-peers alone) or -scale")
	cells := flag.String("cells", defaultCells, "comma-separated cells of -matrix, SIZExCALLERSxCONNECTIONS; with a p behind on one CPU")
	rounds := flag.Int("rounds", 0, "rounds of -matrix (default 3) or -scale (default 2)")
	out := flag.String("out", "", "file for the results of -matrix or -scale, as lines of JSON")
	report := flag.String("report", "", "comma-separated files of results to report on")
	cost := flag.String("cost", "", "file of results of -matrix with the peers of -cost-peers, of which to write a table into the file -readme")
	readme := flag.String("readme", "", "see -cost")
	costMatrix := flag.Bool("cost-peers", false, "as -matrix -switch, with the peers and cells that show what observation costs")
	into := flag.String("into", ".", "directory for the report")
	scale := scaleFlags()
	flag.Parse()
	o.switched = o.switched || *costMatrix
	if observing.used = o.switched; o.switched {
		o.turns = cmp.Or(o.turns, max(1, int(o.duration/switchTurn)))
	}

	switch {
	case *list:
		for _, name := range slices.Sorted(maps.Keys(peers)) {
			fmt.Println(name)
		}
		return nil
	case scale.task != "":
		return runTask(scale.task, os.Stdout)
	case *cost != "":
		return writeCost(*cost, *readme)
	case *report != "" && scale.on:
		return writeScaleReport(*report, *into)
	case *report != "":
		return writeReport(strings.Split(*report, ","), *into)
	case scale.on:
		m, err := scale.run(o, *names, cmp.Or(*rounds, 2), *out)
		if err != nil {
			return err
		}
		return m.run()
	case *matrix || *costMatrix:
		m := matrixRun{options: o, peers: comparedPeers(), rounds: cmp.Or(*rounds, 3), out: *out}
		if *costMatrix {
			m.peers, *cells = costPeers(), costCells
		}
		if *names != "" {
			m.peers = strings.Split(*names, ",")
		}
		for _, spec := range strings.Split(*cells, ",") {
			c, err := parseCell(spec)
			if err != nil {
				return err
			}
			m.cells = append(m.cells, c)
		}
		return m.run()
	case *serve:
		return serveProcess(o)
	default:
		return measureOne(o, os.Stdout)
	}
}
