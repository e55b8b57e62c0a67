package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMain is also the server's process, and those of a task of -scale and of a peer that is
// measured in turns, which are this program with other flags.
func TestMain(m *testing.M) {
	if slices.ContainsFunc([]string{"-serve", "-scale-task", "-turns"}, func(flag string) bool { return slices.Contains(os.Args, flag) }) {
		main()
		return
	}
	os.Exit(m.Run())
}

// Every peer answers, and counts what it does.
func TestPeers(t *testing.T) {
	for name := range peers {
		t.Run(name, func(t *testing.T) {
			phase.Store(warming)
			o := options{peer: name, size: 100, callers: 4, conns: 2, warm: 20 * time.Millisecond, duration: 100 * time.Millisecond}
			if name == "rawtcp" {
				o.callers, o.conns = 1, 1
			}
			var out bytes.Buffer
			if err := measureOne(o, &out); err != nil {
				t.Fatal(err)
			}
			var r Result
			if err := json.Unmarshal(out.Bytes(), &r); err != nil {
				t.Fatal(err)
			}
			if r.Ops <= 0 || r.P50 <= 0 || r.P999 < r.P99 || r.ServerCPU <= 0 || r.ServerMiB <= 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestHistogram(t *testing.T) {
	phase.Store(measuring)
	defer phase.Store(warming)
	var h, half histogram
	for _, shared := range []bool{false, true} {
		rec := Recorder{&half, shared}
		for us := 1; us <= 1000; us += 2 {
			rec.Add(time.Duration(us+map[bool]int{true: 1}[shared]) * time.Microsecond)
		}
	}
	again := half
	h.take(&half)
	h.take(&half) // has nothing any more
	h.take(&again)
	*h.bucket(0)++
	if n := h.count(); n != 2001 {
		t.Errorf("%d calls", n)
	}
	for q, want := range map[float64]float64{.5: 500, .99: 990, .999: 999} {
		if got := h.quantile(q); math.Abs(got-want) > .04*want {
			t.Errorf("quantile %v is %v, want about %v", q, got, want)
		}
	}
}

func TestCells(t *testing.T) {
	for spec, want := range map[string]string{"16x64x1": "16 B, 1 × 64", "1024x16x64": "1 KiB, 64 × 16", "16x1x1p": "16 B, 1 × 1, one CPU"} {
		if c, err := parseCell(spec); err != nil || c.String() != want {
			t.Errorf("%s is %v, %v; want %s", spec, c, err, want)
		}
	}
	for _, spec := range []string{"", "16", "16x64", "16x0x1", "-1x1x1"} {
		if _, err := parseCell(spec); err == nil {
			t.Errorf("%q is a cell", spec)
		}
	}
}

// The report has medians, and ratios of the same round, with a failed run left out.
func TestReport(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "results.jsonl")
	var lines bytes.Buffer
	add := func(peer string, round int, ops float64, err string) {
		r := Result{Peer: peer, Cell: cell{Size: 16, Callers: 64, Conns: 1}, Round: round, figures: figures{Ops: ops, P50: 10}, Err: err}
		if err := json.NewEncoder(&lines).Encode(r); err != nil {
			t.Fatal(err)
		}
	}
	for round, ops := range []float64{100e3, 200e3, 50e3} {
		add(base, round, ops, "")
		add("pktsvc", round, 10*ops, "")
	}
	add("odd", 0, 0, "it does | not work")
	if err := os.WriteFile(file, lines.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeReport([]string{file}, dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "peers.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| pktsvc | 1000 k (10.0) |", "| grpc | 100 k (1.0) |", "| pktsvc | 1000000 | 10.00 (10.00 to 10.00) |",
		"| odd | failed: it does / not work |", "3 of 3", "16 B, 1 × 64",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	svg, err := os.ReadFile(filepath.Join(dir, "peers.svg"))
	if err != nil || !bytes.Contains(svg, []byte("1000 k (10.0)")) {
		t.Errorf("the plot does not show the figure: %v", err)
	}
	if err := writeReport([]string{filepath.Join(dir, "none")}, dir); err == nil {
		t.Error("a report of nothing")
	}
}

func TestStandardError(t *testing.T) {
	if got := standardError([]float64{1, 2, 3, 4}); math.Abs(got-.6455) > .0001 { // √(5/3) / √4
		t.Errorf("%v", got)
	}
	if got := standardError([]float64{1}); got != 0 {
		t.Errorf("of one: %v", got)
	}
}
