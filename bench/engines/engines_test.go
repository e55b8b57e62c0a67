package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Every engine keeps what was put, also for the next who opens it, and can be measured.
func TestEngines(t *testing.T) {
	for _, name := range []string{"pebble", "bbolt", "badger"} {
		t.Run(name, func(t *testing.T) {
			ctx, dir, b := context.Background(), t.TempDir(), newBlocks(5000)
			for round := range 2 {
				e, err := openEngine(name, dir)
				if err != nil {
					t.Fatal(err)
				}
				for n := range 50 {
					if added, err := e.Put(ctx, b.code(n), b.data(n)); added != (round == 0) || err != nil {
						t.Fatalf("round %d: Put is %v, %v", round, added, err)
					}
				}
				if err := e.Sync(ctx); err != nil {
					t.Fatal(err)
				}
				if data, err := e.Get(ctx, b.code(7)); err != nil || !bytes.Equal(data, b.data(7)) {
					t.Errorf("round %d: Get: %d bytes, %v", round, len(data), err)
				}
				if err := e.Close(); err != nil {
					t.Fatal(err)
				}
			}
			r, err := measure(name, 5000, options{dir: t.TempDir(), volume: 1 << 20, phase: 50 * time.Millisecond})
			if err != nil || r.Puts <= 0 || r.Gets <= 0 || r.Synced1 <= 0 || r.Synced64 <= 0 || r.Space < .9 {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// The report has medians, in the place that the document has for them.
func TestReport(t *testing.T) {
	dir := t.TempDir()
	file, document := filepath.Join(dir, "results"), filepath.Join(dir, "document")
	lines := `{"Engine":"a","Size":4096,"Puts":1}
{"Engine":"b","Size":4096,"Puts":7}
{"Engine":"a","Size":4096,"Puts":3}
`
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeReport(file, document); err == nil {
		t.Error("a document that is not there has no place for it")
	}
	if err := os.WriteFile(document, []byte("above\n"+begin+"old\n"+end+"below\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeReport(file, document); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"above\n" + begin, end + "below\n", "| 4 KiB | a | 2 |", "| 4 KiB | b | 7 |", "over 2 rounds"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "old") {
		t.Error("the old table is still there")
	}
}
