package top

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/rivo/uniseg"
)

// rateText is a figure with three digits that count.
func (f *Figures) rateText(n float64) string {
	if f.Seconds == 0 {
		return "-"
	}
	return short(n, "")
}

func (f *Figures) bytesText(n float64) string {
	if f.Seconds == 0 {
		return "-"
	}
	return short(n, "B")
}

// short is a number with a prefix of its unit: 0, 0.25, 999, 1.50k, 12.3M.
func short(n float64, unit string) string {
	prefix := ""
	for _, p := range []string{"k", "M", "G", "T", "P"} {
		if n < 999.5 { // what would be shown as 1000
			break
		}
		n, prefix = n/1000, p
	}
	text := threeDigits(n)
	if prefix == "" && strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text + prefix + unit
}

func threeDigits(n float64) string {
	switch {
	case n < 9.995:
		return strconv.FormatFloat(n, 'f', 2, 64)
	case n < 99.95:
		return strconv.FormatFloat(n, 'f', 1, 64)
	}
	return strconv.FormatFloat(n, 'f', 0, 64)
}

// latencyText is a latency of some microseconds, or a dash for none.
func latencyText(us *float64) string {
	switch {
	case us == nil:
		return "-"
	case *us < 999.5:
		return threeDigits(*us) + "µs"
	case *us < 999.5e3:
		return threeDigits(*us/1e3) + "ms"
	case *us < 59.95e6:
		return threeDigits(*us/1e6) + "s"
	}
	return ageText(*us / 1e6)
}

// ageText is a time with its two greatest units.
func ageText(seconds float64) string {
	s := int64(math.Round(max(0, seconds)))
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 24*3600:
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%dd%02dh", s/24/3600, s/3600%24)
}

func clock(t time.Time) string { return t.Local().Format("15:04:05") }

// printable keeps what peers have chosen from steering a terminal.
func printable(s string) string {
	if quoted := strconv.Quote(s); quoted[1:len(quoted)-1] != s {
		return quoted
	}
	return s
}

// columnsOf is how many columns of a terminal a printable text takes.
func columnsOf(s string) int { return uniseg.StringWidth(s) }

// cut shortens a printable text to some columns, which shows by an ellipsis.
func cut(s string, width int) string {
	if columnsOf(s) <= width {
		return s
	}
	if width <= 0 {
		return ""
	}
	var b strings.Builder
	for left, state := width-1, -1; s != ""; {
		var cluster string
		var columns int
		cluster, s, columns, state = uniseg.FirstGraphemeClusterInString(s, state)
		if left -= columns; left < 0 {
			break
		}
		b.WriteString(cluster)
	}
	return b.String() + "…"
}

// pad fills a text up to a width, to the right or to the left.
func pad(s string, width int, right bool) string {
	fill := strings.Repeat(" ", max(0, width-columnsOf(s)))
	if right {
		return fill + s
	}
	return s + fill
}
