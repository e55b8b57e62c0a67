package logging

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// kept lists what r keeps, the latest first.
func kept(t *testing.T, r *Recent) (list []string) {
	t.Helper()
	for _, line := range r.Lines() {
		var has struct{ Msg string }
		if err := json.Unmarshal(line, &has); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		list = append(list, has.Msg)
	}
	return list
}

func TestRecentKeepsTheLastLines(t *testing.T) {
	r := NewRecent(3)
	log := zap.New(r.Core(zapcore.InfoLevel))
	if got := kept(t, r); len(got) != 0 {
		t.Errorf("before the first line there is %q", got)
	}
	var want []string
	for i := range 8 {
		log.Info(fmt.Sprint(i))
		log.Debug("below the level")
		want = append([]string{fmt.Sprint(i)}, want...)
		if got := kept(t, r); !slices.Equal(got, want[:min(3, len(want))]) {
			t.Errorf("after %d lines there is %q, want the last 3 of %q", i+1, got, want)
		}
	}
}

func TestRecentLineHasAllFields(t *testing.T) {
	r := NewRecent(1)
	log := zap.New(r.Core(zapcore.DebugLevel)).Named("server").With(zap.String("conn", "tcp-1"))
	log.Warn("request failed", zap.Uint64("tag", 17), zap.Error(errors.New("no disk")))
	var has map[string]any
	if err := json.Unmarshal(r.Lines()[0], &has); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{
		"level": "warn", "logger": "server", "msg": "request failed", "conn": "tcp-1", "tag": 17.0, "error": "no disk",
	} {
		if has[key] != want {
			t.Errorf("%s is %v, want %v", key, has[key], want)
		}
	}
}

// What peers cause to be logged cannot make the ring larger than it promises.
func TestRecentIsBounded(t *testing.T) {
	r := NewRecent(2)
	log := zap.New(r.Core(zapcore.DebugLevel))
	log.Info("long field", zap.String("text", strings.Repeat("\x00", maxRecentLine)))
	log.Info(strings.Repeat("\x00", maxRecentLine))
	for _, line := range r.Lines() {
		if len(line) > maxRecentLine || !strings.Contains(string(line), `"cut":true`) {
			t.Errorf("a line of %d bytes is kept: %.100s", len(line), line)
		}
	}
	if got := kept(t, r); got[1] != "long field" {
		t.Errorf("the message is lost: %.100q", got[1])
	}
}

func TestRecentConcurrently(t *testing.T) {
	const writers, lines = 8, 500
	r := NewRecent(writers * lines / 2)
	log := zap.New(r.Core(zapcore.DebugLevel))
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range lines {
				log.Info("line")
				if i := len(r.Lines()); i > writers*lines/2 {
					t.Errorf("%d lines are kept", i)
				}
			}
		})
	}
	all.Wait()
	if got := len(kept(t, r)); got != writers*lines/2 {
		t.Errorf("%d lines are kept, want %d", got, writers*lines/2)
	}
}

// Of a line that is too long what it is about stays, and the top of the stack.
func TestRecentShortens(t *testing.T) {
	r := NewRecent(1)
	log := zap.New(r.Core(zapcore.DebugLevel)).With(zap.String("conn", "tcp-1"))
	log.Error("handler panicked", zap.Uint64("tag", 17), zap.ByteString("stack", []byte("top.go:1 "+strings.Repeat("x", 2*maxRecentLine))),
		zap.Error(errors.New("on purpose"+strings.Repeat("x", 1000))), zap.Any("other", make([]int, 5000)))
	var has map[string]any
	if err := json.Unmarshal(r.Lines()[0], &has); err != nil {
		t.Fatal(err)
	}
	stack, _ := has["stack"].(string)
	text, _ := has["error"].(string)
	if has["conn"] != "tcp-1" || has["tag"] != 17.0 || has["cut"] != true || !strings.HasPrefix(stack, "top.go:1 ") || !strings.HasPrefix(text, "on purpose") {
		t.Errorf("%.300s", r.Lines()[0])
	}
}
