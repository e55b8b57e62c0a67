package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// The table stands between these in the document.
const (
	begin = "<!-- written by make bench-engines -->\n"
	end   = "<!-- end -->\n"
)

func writeReport(file, document string) error {
	results, err := read(file)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Clean(document))
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(text), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		return fmt.Errorf("%s has no place for the table, between %q and %q", document, begin, end)
	}
	return os.WriteFile(document, []byte(before+begin+table(results)+end+after), 0o644)
}

func read(file string) (list []result, err error) {
	f, err := os.Open(filepath.Clean(file))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var r result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		list = append(list, r)
	}
	if len(list) == 0 {
		return nil, errors.New("there are no results")
	}
	return list, nil
}

var columns = []struct {
	title, format string
	of            func(result) float64
}{
	{"puts/s", "%.0f", func(r result) float64 { return r.Puts }},
	{"MB/s", "%.0f", func(r result) float64 { return r.PutMBs }},
	{"CPU s/GB", "%.1f", func(r result) float64 { return r.PutCPU }},
	{"written, ×", "%.2f", func(r result) float64 { return r.Written }},
	{"on disk, ×", "%.2f", func(r result) float64 { return r.Space }},
	{"synced puts/s", "%.0f", func(r result) float64 { return r.Synced1 }},
	{"by 64 callers", "%.0f", func(r result) float64 { return r.Synced64 }},
	{"gets/s", "%.0f", func(r result) float64 { return r.Gets }},
	{"open, ms", "%.0f", func(r result) float64 { return r.OpenMs }},
	{"peak, MiB", "%.0f", func(r result) float64 { return r.PeakMiB }},
}

// table has a line for each size and engine, in the order of the results.
func table(results []result) string {
	var t strings.Builder
	t.WriteString("| block | engine |")
	for _, c := range columns {
		t.WriteString(" " + c.title + " |")
	}
	t.WriteString("\n|---|---|" + strings.Repeat("--:|", len(columns)) + "\n")
	type line struct {
		engine string
		size   int
	}
	var lines []line
	runs := make(map[line][]result)
	for _, r := range results {
		l := line{r.Engine, r.Size}
		if runs[l] == nil {
			lines = append(lines, l)
		}
		runs[l] = append(runs[l], r)
	}
	rounds := 0
	for _, l := range lines {
		rounds = max(rounds, len(runs[l]))
		fmt.Fprintf(&t, "| %d KiB | %s |", l.size>>10, l.engine)
		for _, c := range columns {
			var values []float64
			for _, r := range runs[l] {
				values = append(values, c.of(r))
			}
			slices.Sort(values)
			n := len(values)
			fmt.Fprintf(&t, " "+c.format+" |", (values[(n-1)/2]+values[n/2])/2)
		}
		t.WriteString("\n")
	}
	fmt.Fprintf(&t, "\n%d CPUs, %s/%s, %s, on %s. Medians over %d rounds in which all took turns.\n",
		runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), time.Now().UTC().Format(time.DateOnly), rounds)
	return t.String()
}
