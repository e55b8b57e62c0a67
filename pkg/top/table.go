package top

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// column is one of a table whose rows are an R.
type column[R any] struct {
	title string
	order Order // that sorts by it, if one does
	rank  int   // those with the highest are left out first where there is little room
	name  bool  // a text of any length, which may be cut, and not a figure
	text  func(*Figures, *R) string
}

var typeColumns = []column[Type]{
	{"TYPE", ByName, 0, true, func(_ *Figures, t *Type) string { return printable(t.Type) }},
	{"ROLE", "", 5, true, func(_ *Figures, t *Type) string { return printable(t.Role) }},
	{"RATE/s", ByRate, 0, false, func(f *Figures, t *Type) string { return f.rateText(t.PerS) }},
	{"ERR/s", ByErrors, 2, false, func(f *Figures, t *Type) string { return f.rateText(t.Errors) }},
	{"P50", ByP50, 3, false, func(_ *Figures, t *Type) string { return latencyText(t.P50US) }},
	{"P99", ByP99, 1, false, func(_ *Figures, t *Type) string { return latencyText(t.P99US) }},
	{"FLIGHT", ByBusy, 4, false, func(_ *Figures, t *Type) string { return strconv.Itoa(t.InFlight) }},
	{"IN/s", ByIn, 5, false, func(f *Figures, t *Type) string { return f.bytesText(t.in()) }},
	{"OUT/s", ByOut, 5, false, func(f *Figures, t *Type) string { return f.bytesText(t.out()) }},
	{"MEAN", "", 7, false, func(_ *Figures, t *Type) string { return latencyText(t.MeanUS) }},
	{"TOTAL", "", 6, false, func(_ *Figures, t *Type) string { return strconv.FormatUint(t.Total, 10) }},
}

var connColumns = []column[Conn]{
	{"CONN", ByName, 0, true, func(_ *Figures, c *Conn) string { return printable(c.Conn) }},
	{"PEER", "", 4, true, func(_ *Figures, c *Conn) string { return printable(c.Peer) }},
	{"IDENTITY", "", 7, true, func(_ *Figures, c *Conn) string { return printable(c.Identity) }},
	{"RATE/s", ByRate, 0, false, func(f *Figures, c *Conn) string { return f.rateText(c.Requests + c.Calls) }},
	{"IN/s", ByIn, 2, false, func(f *Figures, c *Conn) string { return f.bytesText(c.BytesReceived) }},
	{"OUT/s", ByOut, 3, false, func(f *Figures, c *Conn) string { return f.bytesText(c.BytesSent) }},
	{"P99", ByP99, 2, false, func(_ *Figures, c *Conn) string { return latencyText(c.P99US) }},
	{"BUSY", ByBusy, 1, false, func(_ *Figures, c *Conn) string { return strconv.Itoa(c.busy()) }},
	{"STALLS/s", "", 6, false, func(f *Figures, c *Conn) string { return f.rateText(c.Stalls) }},
	{"AGE", ByAge, 5, false, func(_ *Figures, c *Conn) string { return ageText(c.AgeSeconds) }},
}

const (
	gap       = 2  // columns of the terminal between two of a table
	leastName = 10 // to which a name is cut rather than leave out columns
	leastText = 7  // of figures, so that columns stay in place as they change
)

// lines are a table's title and rows, no wider than width. The title of the column that
// sorts is marked.
func lines[R any](cols []column[R], rows []R, f *Figures, width int, by Order, reverse bool) []string {
	titles := make([]string, len(cols))
	cells := make([][]string, len(cols)) // by column
	widths := make([]int, len(cols))
	for i, c := range cols {
		titles[i] = c.title
		if by != "" && c.order == by {
			titles[i] += "▼"
			if reverse {
				titles[i] = c.title + "▲"
			}
		}
		widths[i] = columnsOf(titles[i])
		if !c.name {
			widths[i] = max(widths[i], leastText)
		}
		for r := range rows {
			text := c.text(f, &rows[r])
			cells[i] = append(cells[i], text)
			widths[i] = max(widths[i], columnsOf(text))
		}
	}
	var shown []int
	for i, c := range cols {
		if len(rows) > 0 && c.name && strings.Join(cells[i], "") == "" {
			continue // nobody has one
		}
		shown = append(shown, i)
	}
	shown = fit(cols, shown, widths, width)
	list := make([]string, 0, 1+len(rows))
	line := func(cell func(i int) string) {
		var b strings.Builder
		for n, i := range shown {
			if n > 0 {
				b.WriteString(strings.Repeat(" ", gap))
			}
			b.WriteString(pad(cut(cell(i), widths[i]), widths[i], !cols[i].name))
		}
		list = append(list, cut(strings.TrimRight(b.String(), " "), width))
	}
	line(func(i int) string { return titles[i] })
	for r := range rows {
		line(func(i int) string { return cells[i][r] })
	}
	return list
}

// fit says which of some columns have room, and takes from the widths of names what is
// too much.
func fit[R any](cols []column[R], shown, widths []int, width int) []int {
	least := func(i int) int {
		if cols[i].name {
			return min(widths[i], leastName)
		}
		return widths[i]
	}
	sum := func(of func(int) int) int {
		n := gap * (len(shown) - 1)
		for _, i := range shown {
			n += of(i)
		}
		return n
	}
	for len(shown) > 1 && sum(least) > width {
		last := 0
		for n, i := range shown {
			if cols[i].rank >= cols[shown[last]].rank {
				last = n
			}
		}
		shown = append(shown[:last], shown[last+1:]...)
	}
	over := sum(func(i int) int { return widths[i] }) - width
	for n := len(shown) - 1; n >= 0 && over > 0; n-- {
		less := min(over, widths[shown[n]]-least(shown[n]))
		widths[shown[n]] -= less
		over -= less
	}
	return shown
}

// summary is what is known of the server as a whole: lines of parts.
func (f *Figures) summary() [][]string {
	return [][]string{{
		fmt.Sprintf("%d connections", f.Connections), fmt.Sprintf("%d serving", f.Serving), fmt.Sprintf("%d queued", f.Queued),
		fmt.Sprintf("%d calls in flight", f.InFlight), f.rateText(f.Calls) + " calls/s", f.rateText(f.Stalls) + " stalls/s",
	}, {
		f.rateText(f.Requests) + " requests/s", f.rateText(f.Errors) + " errors/s",
		"p50 " + latencyText(f.P50US), "p99 " + latencyText(f.P99US),
		"in " + f.bytesText(f.BytesReceived) + "/s", "out " + f.bytesText(f.BytesSent) + "/s",
	}}
}

// wrap makes lines of parts, no wider than width unless one part is.
func wrap(parts []string, between string, width int) (list []string) {
	for _, part := range parts {
		if n := len(list); n > 0 && columnsOf(list[n-1])+columnsOf(between)+columnsOf(part) <= width {
			list[n-1] += between + part
		} else {
			list = append(list, part)
		}
	}
	return list
}

// WriteTables writes an interval for people who have no terminal to see it on: plain
// lines, as wide as they are. It may be called concurrently, and blocks as long as w does.
func WriteTables(w io.Writer, v *Interval) error {
	var b strings.Builder
	fmt.Fprint(&b, clock(v.Now))
	if v.Figures == nil {
		fmt.Fprintf(&b, "  no answer: %s\n\n", printable(v.Error))
		_, err := io.WriteString(w, b.String())
		return err
	}
	f := v.Figures
	fmt.Fprintf(&b, "  up %s", ageText(f.UptimeSeconds))
	if f.Restarted {
		b.WriteString("  restarted")
	}
	b.WriteString("\n")
	var list []string
	for _, parts := range f.summary() {
		list = append(list, strings.Join(parts, "  "))
	}
	list = append(list, "")
	list = append(list, lines(typeColumns, f.Types, f, math.MaxInt, "", false)...)
	list = append(leftOut(list, f.TypesLeftOut), "")
	list = append(list, lines(connColumns, f.Conns, f, math.MaxInt, "", false)...)
	list = append(leftOut(list, f.ConnsLeftOut), "")
	for _, l := range list {
		b.WriteString(l + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// leftOut says how many rows a table would have had more.
func leftOut(list []string, n int) []string {
	if n == 0 {
		return list
	}
	return append(list, fmt.Sprintf("… %d more", n))
}
