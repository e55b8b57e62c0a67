package logging

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func TestNewLoggerEncodings(t *testing.T) {
	for _, encoding := range []string{"", "json", "console"} {
		t.Run(encoding, func(t *testing.T) {
			var out bytes.Buffer
			l, err := NewLogger(LoggerOptions{Encoding: encoding, Output: zapcore.AddSync(&out)})
			if err != nil {
				t.Fatal(err)
			}
			l.Info("hello", zap.Duration("took", 1500*time.Millisecond))
			if encoding == "console" {
				if text := out.String(); !strings.Contains(text, "INFO\thello") || !strings.Contains(text, `"took": "1.5s"`) {
					t.Errorf("line %q", text)
				}
				return
			}
			var line struct{ Level, Time, Msg, Took string }
			if err := json.Unmarshal(out.Bytes(), &line); err != nil {
				t.Fatalf("%q: %v", out.String(), err)
			}
			if line.Level != "info" || line.Msg != "hello" || line.Took != "1.5s" {
				t.Errorf("line %+v", line)
			}
			if _, err := time.Parse(time.RFC3339Nano, line.Time); err != nil {
				t.Errorf("time: %v", err)
			}
		})
	}
}

func TestNewLoggerErrors(t *testing.T) {
	for name, o := range map[string]LoggerOptions{
		"Encoding":         {Encoding: "xml"},
		"Level":            {Level: 50},
		"SampleFirst":      {SampleFirst: -1},
		"SampleThereafter": {SampleThereafter: -1},
	} {
		if _, err := NewLogger(o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v, want one that names it", name, err)
		}
	}
}

func TestLevelChangesWhileRunning(t *testing.T) {
	var out bytes.Buffer
	l, err := NewLogger(LoggerOptions{Level: zap.WarnLevel, Output: zapcore.AddSync(&out)})
	if err != nil {
		t.Fatal(err)
	}
	l.Info("one")
	l.Unsampled.Info("two")
	l.Level.SetLevel(zap.DebugLevel)
	l.Debug("three")
	l.Unsampled.Debug("four")
	if text := out.String(); strings.Contains(text, "one") || strings.Contains(text, "two") ||
		!strings.Contains(text, "three") || !strings.Contains(text, "four") {
		t.Errorf("lines:\n%s", text)
	}
}

func TestSamplingIsCounted(t *testing.T) {
	var out bytes.Buffer
	l, err := NewLogger(LoggerOptions{
		Output: zapcore.AddSync(&out), SampleInterval: time.Hour, SampleFirst: 5, SampleThereafter: 10,
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 25 {
		l.Info("often")
		l.With(zap.Int("k", 1)).Named("sub").Warn("often, too")
		l.Debug("off")
	}
	l.Error("seldom")
	// Of 25: 5 at first, then the 15th and the 25th.
	if got := l.Dropped(zap.InfoLevel); got != 18 {
		t.Errorf("%d lines at info dropped, want 18", got)
	}
	if got := l.Dropped(zap.WarnLevel); got != 18 {
		t.Errorf("%d lines at warn dropped, want 18", got)
	}
	for _, level := range []zapcore.Level{zap.DebugLevel, zap.ErrorLevel, zapcore.InvalidLevel, -7} {
		if got := l.Dropped(level); got != 0 {
			t.Errorf("%d lines at %v dropped, want 0", got, level)
		}
	}
	if n := strings.Count(out.String(), "\n"); n != 15 {
		t.Errorf("%d lines written, want 7, 7 and 1", n)
	}
	out.Reset()
	for range 25 {
		l.Unsampled.Info("often")
	}
	if n := strings.Count(out.String(), "\n"); n != 25 {
		t.Errorf("%d unsampled lines written, want 25", n)
	}
}

func TestSamplingOff(t *testing.T) {
	var out bytes.Buffer
	l, err := NewLogger(LoggerOptions{Output: zapcore.AddSync(&out), SampleInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	for range 500 {
		l.Info("often")
	}
	if n := strings.Count(out.String(), "\n"); n != 500 || l.Dropped(zap.InfoLevel) != 0 {
		t.Errorf("%d lines written, %d dropped", n, l.Dropped(zap.InfoLevel))
	}
}
