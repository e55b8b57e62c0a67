// Command guarantees runs every test that docs/GUARANTEES.md names as the proof
// of a promise, at full size, and writes into the document how much was tried and
// what failed.
//
//	go run ./internal/guarantees        # from the root of the repository
//
// A test tells its amount in a line of its log, such as
//
//	guarantee: TestModel 1000000 operations, 412000 requests
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

const document = "docs/GUARANTEES.md"

// The table stands between these lines.
const (
	tableBegin = "<!-- table: make guarantees -->"
	tableEnd   = "<!-- end of table -->"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "guarantees:", err)
		os.Exit(1)
	}
}

func run() error {
	text, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	promises := parse(string(text))
	results := make(map[proof]result)
	for _, folder := range folders(promises) {
		names := proofsIn(promises, folder)
		fmt.Printf("%s: %s\n", folder, strings.Join(names, " "))
		start := time.Now()
		out, err := test(folder, names)
		fmt.Printf("%s: %.0f s\n", folder, time.Since(start).Seconds())
		for _, name := range names {
			r := read(out, name)
			if !r.ran {
				return fmt.Errorf("%s.%s did not run: %w\n%s", folder, name, err, tail(out))
			}
			results[proof{folder, name}] = r
		}
	}
	filled, err := fill(string(text), table(promises, results))
	if err != nil {
		return err
	}
	if err := os.WriteFile(document, []byte(filled), 0o644); err != nil {
		return err
	}
	for p, r := range results {
		if r.failures > 0 {
			return fmt.Errorf("%s.%s failed", p.folder, p.test)
		}
	}
	return nil
}

// promise is a numbered section of the document.
type promise struct {
	number, title string
	proofs        []proof
}

// proof is a test, in a folder below the root.
type proof struct{ folder, test string }

var (
	sections = regexp.MustCompile(`(?m)^### (\d+)\. (.+)$`)
	proofs   = regexp.MustCompile("`([a-z0-9/]+)\\.((?:Test|Fuzz)\\w+)`")
)

// parse finds the promises and the tests that are named below them.
func parse(text string) (list []promise) {
	starts := sections.FindAllStringSubmatchIndex(text, -1)
	for i, at := range starts {
		end := len(text)
		if next := strings.Index(text[at[1]:], "\n## "); next >= 0 {
			end = at[1] + next
		}
		if i+1 < len(starts) {
			end = min(end, starts[i+1][0])
		}
		p := promise{number: text[at[2]:at[3]], title: text[at[4]:at[5]]}
		for _, m := range proofs.FindAllStringSubmatch(text[at[1]:end], -1) {
			if one := (proof{m[1], m[2]}); !slices.Contains(p.proofs, one) {
				p.proofs = append(p.proofs, one)
			}
		}
		list = append(list, p)
	}
	return list
}

func folders(promises []promise) (list []string) {
	for _, p := range promises {
		for _, one := range p.proofs {
			if !slices.Contains(list, one.folder) {
				list = append(list, one.folder)
			}
		}
	}
	return list
}

func proofsIn(promises []promise, folder string) (names []string) {
	for _, p := range promises {
		for _, one := range p.proofs {
			if one.folder == folder && !slices.Contains(names, one.test) {
				names = append(names, one.test)
			}
		}
	}
	return names
}

// full are the sizes at which searches run; by default they are small.
var full = []string{
	"PKTSVC_MODEL_OPERATIONS=1000000",
	"PKTSVC_SIM_SEEDS=10000",
	"PKTSVC_MATRIX=full",
	"PKTSVC_SOAK=2m",
	"PKTSVC_DISK_CUTS=2000",
}

// test runs tests of one folder, which may be a module of its own.
func test(folder string, names []string) ([]byte, error) {
	cmd := exec.Command("go", "test", "-v", "-count", "1", "-timeout", "60m",
		"-run", "^("+strings.Join(names, "|")+")$", ".")
	cmd.Dir = filepath.FromSlash(folder)
	cmd.Env = append(os.Environ(), full...)
	return cmd.CombinedOutput()
}

type result struct {
	ran      bool
	tried    string // as the test tells it
	cases    int    // its subtests
	failures int
}

// read finds what became of a test in the output of go test -v.
func read(out []byte, name string) (r result) {
	for line := range bytes.Lines(out) {
		text := strings.TrimSpace(string(line))
		if _, tried, ok := strings.Cut(text, "guarantee: "+name+" "); ok {
			if r.tried != "" {
				tried = r.tried + "; " + tried // a subtest's
			}
			r.tried = tried
		}
		verdict, rest, ok := strings.Cut(strings.TrimPrefix(text, "--- "), ": ")
		if !ok || !strings.HasPrefix(text, "--- ") || !strings.HasPrefix(rest, name) {
			continue
		}
		if after := rest[len(name):]; after[0] != ' ' && after[0] != '/' {
			continue
		}
		if strings.Contains(rest, "/") {
			r.cases++
		}
		switch verdict {
		case "PASS":
			r.ran = true
		case "FAIL":
			r.ran = true
			if !strings.Contains(rest, "/") {
				r.failures++
			}
		}
	}
	return r
}

func tail(out []byte) []byte { return out[max(0, len(out)-4000):] }

// table is the Markdown table of all promises and their tests.
func table(promises []promise, results map[proof]result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s, %d processors, %s:\n\n", time.Now().UTC().Format(time.DateOnly), runtime.Version(), runtime.NumCPU(), runtime.GOOS)
	b.WriteString("| promise | test | tried | failures |\n| --- | --- | --- | --- |\n")
	for _, p := range promises {
		for _, one := range p.proofs {
			r := results[one]
			tried := r.tried
			if tried == "" {
				if tried = fmt.Sprintf("%d cases", r.cases); r.cases < 2 {
					tried = "1 case"
				}
			}
			fmt.Fprintf(&b, "| %s | `%s.%s` | %s | %d |\n", p.number, one.folder, one.test, grouped(tried), r.failures)
		}
	}
	return b.String()
}

var numbers = regexp.MustCompile(`\b\d{5,}\b`)

// grouped writes long numbers as 1,234,567.
func grouped(text string) string {
	return numbers.ReplaceAllStringFunc(text, func(digits string) string {
		for i := len(digits) - 3; i > 0; i -= 3 {
			digits = digits[:i] + "," + digits[i:]
		}
		return digits
	})
}

// fill puts the table into the document.
func fill(text, table string) (string, error) {
	before, rest, ok := strings.Cut(text, tableBegin)
	_, after, found := strings.Cut(rest, tableEnd)
	if !ok || !found {
		return "", fmt.Errorf("%s has no lines %q and %q", document, tableBegin, tableEnd)
	}
	return before + tableBegin + "\n" + table + tableEnd + after, nil
}
