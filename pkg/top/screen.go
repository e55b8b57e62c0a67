package top

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Screen is what a terminal shows, and the keys that change it. It is used by one
// goroutine at a time; nothing of it blocks.
type Screen struct {
	Server string        // its address
	Every  time.Duration // between polls
	Order  Order

	reverse   bool
	shown     shown
	help      bool
	figures   *Figures
	at        time.Time // of the figures
	trouble   *Interval // the last that had no answer; nil since there was one
	silent    time.Time // since when there is none
	restarted time.Time // the last that was seen
}

// shown are the tables that a screen has.
type shown int

const (
	showBoth shown = iota
	showTypes
	showConns
)

// Line is one of a screen, without its end.
type Line struct {
	Text  string
	Style Style
}

// Style is how a line is set off.
type Style int

// The styles.
const (
	Plain Style = iota
	Bold
	Title // of a table
	Alarm
)

// Show takes the figures of an interval, which become the screen's.
func (s *Screen) Show(v *Interval) {
	if v.Figures == nil {
		if s.trouble == nil {
			s.silent = v.Now
		}
		s.trouble = v
		return
	}
	s.trouble, s.figures, s.at = nil, v.Figures, v.Now
	if v.Restarted {
		s.restarted = v.Now.Add(-time.Duration(v.UptimeSeconds * float64(time.Second)))
	}
}

// Keys of the screen that are no characters.
const (
	KeyInterrupt = '\x03'
	KeyNext      = 'n'
	KeyPrevious  = 'p'
)

// Press does what a key means, and says whether that is to quit.
func (s *Screen) Press(key rune) (quit bool) {
	wasHelp := s.help
	s.help = false
	switch key {
	case 'q', 'Q', KeyInterrupt:
		return true
	case 'h', '?':
		s.help = !wasHelp
	case KeyNext:
		s.Order = s.Order.next(1)
	case KeyPrevious:
		s.Order = s.Order.next(-1)
	case 'r':
		s.reverse = !s.reverse
	case 't':
		s.toggle(showTypes)
	case 'c':
		s.toggle(showConns)
	default:
		if n := int(key - '1'); n >= 0 && n < len(orders) {
			s.Order = orders[n]
		}
	}
	return false
}

func (s *Screen) toggle(table shown) {
	if s.shown == table {
		table = showBoth
	}
	s.shown = table
}

// Lines are the screen in a window: no more than height, none wider than width.
func (s *Screen) Lines(width, height int) []Line {
	// In a low window a row says more than the rest of a long line, or the orders.
	across := width
	if height < 20 {
		across = math.MaxInt
	}
	head := []Line{s.headline()}
	foot := plain(wrap(keys, "  ", across))
	if height >= 12 {
		foot = plain(wrap(s.orders(), " ", across), wrap(keys, "  ", across))
	}
	var body []Line
	switch {
	case s.help:
		body = plain(help)
	case s.figures != nil:
		for _, parts := range s.figures.summary() {
			head = append(head, plain(wrap(parts, "  ", across))...)
		}
		body = s.tables(width, height-len(head)-len(foot))
	}
	all := append(head, body...)
	all = all[:min(len(all), max(1, height-len(foot)))]
	for len(all)+len(foot) < height { // the keys are at the bottom
		all = append(all, Line{})
	}
	all = append(all, foot...)
	all = all[:min(len(all), max(0, height))]
	for i := range all {
		all[i].Text = cut(all[i].Text, width)
	}
	return all
}

func (s *Screen) headline() Line {
	l := Line{Text: "pktsvc top  " + printable(s.Server), Style: Bold}
	if s.trouble != nil {
		l.Style = Alarm
		l.Text = fmt.Sprintf("no answer since %s: %s", clock(s.silent), printable(s.trouble.Error))
		return l
	}
	if s.figures != nil {
		l.Text += fmt.Sprintf("  %s  up %s  every %v", clock(s.at), ageText(s.figures.UptimeSeconds), s.Every)
		if s.figures.Seconds == 0 {
			l.Text += "  (no rates yet)"
		}
	}
	if !s.restarted.IsZero() {
		l.Text += "  restarted " + clock(s.restarted)
	}
	return l
}

func plain(lists ...[]string) (list []Line) {
	for _, texts := range lists {
		for _, text := range texts {
			list = append(list, Line{text, Plain})
		}
	}
	return list
}

// keys are those that the last lines name.
var keys = []string{"q quit", "h help", "t types", "c connections", "n next sort", "r reverse"}

// orders are those to choose from, with their keys.
func (s *Screen) orders() []string {
	list := []string{"sort:"}
	for i, o := range orders {
		text := fmt.Sprintf("%d %s", i+1, o)
		if o == s.Order {
			text = "[" + text + "]"
		}
		list = append(list, text)
	}
	return list
}

// tables are those that are shown, in so many lines. The rows of types are fewer, as a
// rule, so that connections get what they leave.
func (s *Screen) tables(width, height int) []Line {
	f := *s.figures
	f.Types, f.Conns = slices.Clone(f.Types), slices.Clone(f.Conns)
	f.Sort(s.Order, s.reverse)
	types, conns := 2+len(f.Types), 2+len(f.Conns)+min(1, f.ConnsLeftOut) // an empty line, the title
	switch {
	case s.shown == showConns:
		types, conns = 0, min(conns, height)
	case s.shown == showTypes || height < 2*leastTable: // there is room for one
		types, conns = min(types, height), 0
	default:
		types = min(types, max(height/2, height-conns))
		conns = min(conns, height-types)
	}
	list := tableLines(typeColumns, f.Types, 0, &f, types, width, (*Type)(nil).order(s.Order), s.reverse)
	return append(list, tableLines(connColumns, f.Conns, f.ConnsLeftOut, &f, conns, width, (*Conn)(nil).order(s.Order), s.reverse)...)
}

// leastTable is how many lines a table has at least: an empty one, the title, a row.
const leastTable = 3

func tableLines[R any](cols []column[R], rows []R, left int, f *Figures, height, width int, by Order, reverse bool) []Line {
	if height < leastTable {
		return nil
	}
	room := height - 2
	if left > 0 || len(rows) > room {
		n := min(len(rows), max(1, room-1))
		left += len(rows) - n
		rows = rows[:n]
	}
	texts := leftOut(lines(cols, rows, f, width, by, reverse), left)
	list := []Line{{}}
	for i, text := range texts[:min(len(texts), 1+room)] {
		l := Line{Text: text}
		if i == 0 {
			l.Style = Title
		}
		list = append(list, l)
	}
	return list
}

var help = []string{
	"",
	"Keys: q quits, t shows types only or both, c connections only or both,",
	"n and p or the arrows change what rows are sorted by, as do digits; r",
	"reverses it. Any other key leaves this help.",
	"",
	"Types are those of requests (role server) and of the server's own calls",
	"(role client) that have ended: RATE/s all of them, ERR/s those that did",
	"not end ok, P50 P99 MEAN how long they took, TOTAL since the start.",
	"",
	"Connections: RATE/s requests and calls, IN/s OUT/s bytes received and",
	"sent, BUSY handlers that run, requests that wait and calls in flight,",
	"STALLS/s how often the peer took no more bytes.",
	"",
	"Figures are those of the last interval. Percentiles are up to 9 % high.",
}
