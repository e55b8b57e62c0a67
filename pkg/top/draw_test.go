package top

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestTexts(t *testing.T) {
	f := &Figures{Seconds: 1}
	for n, want := range map[float64]string{
		0: "0", 0.25: "0.25", 1: "1", 1.5: "1.5", 9.994: "9.99", 9.996: "10", 12.34: "12.3", 99.96: "100", 999.4: "999",
		999.6: "1.00k", 1500: "1.50k", 12345: "12.3k", 999_499: "999k", 999_600: "1.00M", 3.2e9: "3.20G",
	} {
		if got := f.rateText(n); got != want {
			t.Errorf("%v: %s, want %s", n, got, want)
		}
		if got := f.bytesText(n); got != want+"B" {
			t.Errorf("%v bytes: %s, want %sB", n, got, want)
		}
	}
	for n, want := range map[float64]string{
		0: "0.00µs", 7.5: "7.50µs", 999.4: "999µs", 999.6: "1.00ms", 25_000: "25.0ms", 999_600: "1.00s", 59e6: "59.0s", 90e6: "1m30s",
	} {
		if got := latencyText(&n); got != want {
			t.Errorf("%v µs: %s, want %s", n, got, want)
		}
	}
	for n, want := range map[float64]string{-1: "0s", 59.4: "59s", 59.6: "1m00s", 3661: "1h01m", 90_000: "1d01h", 400 * 86400: "400d00h"} {
		if got := ageText(n); got != want {
			t.Errorf("%v s: %s, want %s", n, got, want)
		}
	}
	if none := (&Figures{}); none.rateText(5) != "-" || none.bytesText(5) != "-" || latencyText(nil) != "-" {
		t.Error("figures without an interval")
	}
}

func TestCut(t *testing.T) {
	for _, tt := range []struct {
		text  string
		width int
		want  string
	}{
		{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"abcd", 1, "…"}, {"abcd", 0, ""}, {"", 0, ""},
		{"größer", 4, "grö…"}, {"日本語", 6, "日本語"}, {"日本語", 5, "日本…"}, {"日本語", 4, "日…"}, {"e\u0301e\u0301e\u0301", 2, "e\u0301…"},
	} {
		if got := cut(tt.text, tt.width); got != tt.want || columnsOf(got) > tt.width {
			t.Errorf("%q in %d: %q, want %q", tt.text, tt.width, got, tt.want)
		}
	}
}

// screen is one that has seen two polls.
func screen() *Screen {
	s := &Screen{Server: "127.0.0.1:7451", Every: time.Second, Order: ByRate}
	s.Show(&Interval{Now: after(10), Figures: Between(nil, sample(10))})
	s.Show(&Interval{Now: after(14), Figures: Between(sample(10), sample(14))})
	return s
}

// drawn is a screen as text, with marks for styles.
func drawn(s *Screen, width, height int) string {
	var b strings.Builder
	for _, l := range s.Lines(width, height) {
		fmt.Fprintf(&b, "%s%s\n", [...]string{" ", "*", "#", "!"}[l.Style]+"|", l.Text)
	}
	return strings.ReplaceAll(b.String(), clock(after(14)), "HH:MM:SS")
}

// The whole screen in windows of several sizes, as testdata has it.
func TestScreen(t *testing.T) {
	tests := []struct {
		name          string
		width, height int
		keys          string
		change        func(*Screen)
	}{
		{"wide", 120, 24, "", nil},
		{"usual", 80, 24, "4r", nil},
		{"narrow", 40, 24, "", nil},
		{"tiny", 24, 8, "", nil},
		{"low", 80, 10, "", nil},
		{"types", 80, 14, "t", nil},
		{"conns", 80, 14, "c6", nil},
		{"help", 80, 24, "h", nil},
		{"first", 80, 16, "", func(s *Screen) {
			*s = Screen{Server: s.Server, Every: s.Every, Order: ByRate}
			s.Show(&Interval{Now: after(14), Figures: Between(nil, sample(14))})
		}},
		{"silent", 80, 16, "", func(s *Screen) { s.Show(&Interval{Now: after(14), Error: "connection\x1b[2J refused"}) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := screen()
			if tt.change != nil {
				tt.change(s)
			}
			for _, key := range tt.keys {
				if s.Press(key) {
					t.Errorf("%c quits", key)
				}
			}
			golden(t, tt.name, drawn(s, tt.width, tt.height))
		})
	}
}

func TestWriteTables(t *testing.T) {
	var b strings.Builder
	f := Between(sample(10), sample(14))
	f.Sort(ByName, false)
	f.Limit(1)
	f.Restarted = true
	for _, v := range []*Interval{{Now: after(14), Figures: f}, {Now: after(14), Error: "refused"}} {
		if err := WriteTables(&b, v); err != nil {
			t.Error(err)
		}
	}
	golden(t, "tables", strings.ReplaceAll(b.String(), clock(after(14)), "HH:MM:SS"))
}

// golden compares with a file, which is written anew where PKTSVC_GOLDEN is set.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := "testdata/" + name + ".txt"
	if os.Getenv("PKTSVC_GOLDEN") != "" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || got != string(want) {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
}

// columnsByRune counts without the help of the library that the drawing uses.
func columnsByRune(s string) (n int) {
	for _, r := range s {
		if n++; r >= 0x3000 { // those of this test are wide from there on
			n++
		}
	}
	return n
}

// Whatever the window, and whatever peers call themselves: no line is too wide, there are
// not too many, and nothing in them steers the terminal.
func TestScreenFits(t *testing.T) {
	hostile := sample(14)
	hostile.Totals.Requests[0].Type = "\x1b]0;owned\a"
	hostile.Totals.Requests[1].Type = strings.Repeat("日本", 40)
	hostile.Conns.List[0].Identity = "\u202egnp\r\n\x9b2J\xff\u200b"
	hostile.Conns.List[1].Peer = strings.Repeat("x", 300)
	hostile.Conns.Matched = 1e9
	for i := range 60 {
		c := hostile.Conns.List[0]
		c.Name = fmt.Sprintf("tcp-%d", 100+i)
		hostile.Conns.List = append(hostile.Conns.List, c)
	}
	s := screen()
	s.Show(&Interval{Now: after(14), Figures: Between(sample(10), hostile)})
	check := func(lines []Line, width, height int) {
		t.Helper()
		if len(lines) != height {
			t.Fatalf("%d×%d: %d lines", width, height, len(lines))
		}
		for _, l := range lines {
			if n := columnsByRune(l.Text); n > width {
				t.Fatalf("%d×%d: %q takes %d columns", width, height, l.Text, n)
			}
			if printable(l.Text) != l.Text && !strings.Contains(l.Text, `\`) && !strings.Contains(l.Text, `"`) || !utf8.ValidString(l.Text) ||
				strings.ContainsAny(l.Text, "\x1b\a\r\n\u202e\u200b") {
				t.Fatalf("%d×%d: %q", width, height, l.Text)
			}
		}
	}
	for _, keys := range []string{"", "t", "tc", "h"} {
		for _, key := range keys {
			s.Press(key)
		}
		for width := range 110 {
			check(s.Lines(width, 24), width, 24)
		}
		for height := range 70 {
			check(s.Lines(40, height), 40, height)
		}
	}
	s.Show(&Interval{Now: after(15), Error: "\x1b[2J" + strings.Repeat("e", 500)})
	check(s.Lines(80, 24), 80, 24)
	new(Screen).Lines(80, 24) // before anything is known
}

func TestPress(t *testing.T) {
	s := screen()
	for _, step := range []struct {
		key     rune
		order   Order
		reverse bool
		shown   shown
		help    bool
	}{
		{'n', ByErrors, false, showBoth, false},
		{'p', ByRate, false, showBoth, false},
		{'p', ByName, false, showBoth, false},
		{'4', ByP99, false, showBoth, false},
		{'9', ByName, false, showBoth, false},
		{'0', ByName, false, showBoth, false},
		{'x', ByName, false, showBoth, false},
		{'r', ByName, true, showBoth, false},
		{'r', ByName, false, showBoth, false},
		{'t', ByName, false, showTypes, false},
		{'c', ByName, false, showConns, false},
		{'c', ByName, false, showBoth, false},
		{'h', ByName, false, showBoth, true},
		{'?', ByName, false, showBoth, false},
		{'?', ByName, false, showBoth, true},
		{'1', ByRate, false, showBoth, false},
	} {
		if s.Press(step.key) || s.Order != step.order || s.reverse != step.reverse || s.shown != step.shown || s.help != step.help {
			t.Errorf("%c: %+v", step.key, s)
		}
	}
	for _, key := range []rune{'q', 'Q', KeyInterrupt} {
		if !screen().Press(key) {
			t.Errorf("%q does not quit", key)
		}
	}
}

// The headline tells of a server that is away, and that it came back.
func TestHeadline(t *testing.T) {
	s := screen()
	head := func(want string) {
		t.Helper()
		if got := s.Lines(120, 24)[0].Text; !strings.Contains(got, want) {
			t.Errorf("%q, want %s", got, want)
		}
	}
	s.Show(&Interval{Now: after(15), Error: "refused"})
	s.Show(&Interval{Now: after(16), Error: "reset"})
	head("no answer since " + clock(after(15)) + ": reset")
	late := sample(5)
	late.Totals.Started, late.Totals.Now = after(20), after(25)
	s.Show(&Interval{Now: after(25), Figures: Between(sample(14), late)})
	head("restarted " + clock(after(20)))
	s.Show(&Interval{Now: after(26), Error: "refused"})
	head("no answer since " + clock(after(26)))
}
