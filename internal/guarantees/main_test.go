package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// Every promise names at least one test, and every test that is named exists.
func TestProofsExist(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, document))
	if err != nil {
		t.Fatal(err)
	}
	promises := parse(string(text))
	if len(promises) == 0 {
		t.Fatal("the document has no promises")
	}
	for _, p := range promises {
		if len(p.proofs) == 0 {
			t.Errorf("promise %s, %s: no test shows it", p.number, p.title)
		}
		for _, one := range p.proofs {
			if !defined(t, one) {
				t.Errorf("promise %s: there is no %s in %s", p.number, one.test, one.folder)
			}
		}
	}
	if _, err := fill(string(text), ""); err != nil {
		t.Error(err)
	}
}

func defined(t *testing.T, p proof) bool {
	files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(p.folder), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(file string) bool {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(text), "\nfunc "+p.test+"(")
	})
}

func TestParse(t *testing.T) {
	got := parse("# T\n### 1. One\nShown by `pkg/a.TestOne` and `pkg/b.TestTwo`, `pkg/a.TestOne`.\n### 2. Two\nno test `x.y`\n## End\n`pkg/a.TestNotThere`\n")
	want := []promise{
		{"1", "One", []proof{{"pkg/a", "TestOne"}, {"pkg/b", "TestTwo"}}},
		{"2", "Two", nil},
	}
	if !slices.EqualFunc(got, want, func(a, b promise) bool {
		return a.number == b.number && a.title == b.title && slices.Equal(a.proofs, b.proofs)
	}) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestRead(t *testing.T) {
	out := []byte(`=== RUN   TestOne
    a_test.go:3: guarantee: TestOne 1000000 operations, 17 requests
--- PASS: TestOne (0.10s)
    --- PASS: TestOne/sub (0.10s)
--- FAIL: TestOneMore (0.10s)
    --- FAIL: TestOneMore/sub (0.10s)
--- SKIP: TestSkipped (0.00s)
`)
	for name, want := range map[string]result{
		"TestOne":     {ran: true, tried: "1000000 operations, 17 requests", cases: 1},
		"TestOneMore": {ran: true, failures: 1, cases: 1},
		"TestSkipped": {},
		"TestNone":    {},
	} {
		if got := read(out, name); got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
	if got := grouped("1000000 operations, 412 requests, 12345"); got != "1,000,000 operations, 412 requests, 12,345" {
		t.Error(got)
	}
}

func TestFill(t *testing.T) {
	got, err := fill("before\n"+tableBegin+"\nold\n"+tableEnd+"\nafter\n", "new\n")
	if want := "before\n" + tableBegin + "\nnew\n" + tableEnd + "\nafter\n"; err != nil || got != want {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := fill("nothing", ""); err == nil {
		t.Error("no error without the lines")
	}
}
