package flight

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteTable writes requests as a table for people, a line for each.
func WriteTable(w io.Writer, list []Request) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "STARTED\tREQUEST\tROLE\tTYPE\tOUTCOME\tTOOK\tMOSTLY IN\tNOTABLE BECAUSE")
	for i := range list {
		q := &list[i]
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%v\t%s\t%s\n", q.Started.Local().Format("15:04:05.000"), q.Name(), q.Role,
			q.typeName(), q.state(), q.took(), q.Slowest, strings.TrimSuffix(q.Because+": "+printable(q.Error), ": "))
	}
	return tw.Flush()
}

// Name is CONN/TAG, or CONN/CHANNEL/TAG where the channel is not 0.
func (q *Request) Name() string {
	if q.Channel != 0 {
		return fmt.Sprintf("%s/%d/%d", printable(q.Conn), q.Channel, q.Tag)
	}
	return fmt.Sprintf("%s/%d", printable(q.Conn), q.Tag)
}

// Line is the request in one line for people.
func (q *Request) Line() string {
	line := fmt.Sprintf("%s  %s  %s %s  %s  %v", q.Started.Local().Format("15:04:05.000"), q.Name(), q.Role, q.typeName(), q.state(), q.took())
	if q.Slowest != "" {
		line += ", mostly in " + q.Slowest
	}
	for _, more := range []struct{ name, value string }{
		{"because", q.Because}, {"error", q.Error}, {"trace", q.TraceID},
	} {
		if more.value != "" {
			line += "  " + more.name + "=" + printable(more.value)
		}
	}
	return line
}

func (q *Request) typeName() string {
	if q.Method != "" {
		return fmt.Sprintf("%s(%d)", printable(q.Method), q.Type)
	}
	return strconv.FormatUint(q.Type, 10)
}

func (q *Request) state() string {
	if q.State != stateDone {
		return q.State
	}
	if q.Reason != "" {
		return q.Outcome + " " + q.Reason
	}
	return q.Outcome
}

func (q *Request) took() time.Duration { return time.Duration(q.DurationUS) * time.Microsecond }

// printable keeps what peers have chosen from steering a terminal.
func printable(s string) string {
	if quoted := strconv.Quote(s); quoted[1:len(quoted)-1] != s {
		return quoted
	}
	return s
}

// barWidth is how many characters the whole time takes in a waterfall.
const barWidth = 48

// WriteWaterfall writes all that is known of a request, and its stages one below the
// other, for people.
func (q *Request) WriteWaterfall(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s of %s  %s  %v\n", q.Name(), q.Role, q.typeName(), q.state(), q.took())
	for _, f := range []struct{ name, value string }{
		{"peer", q.Peer}, {"identity", q.Identity}, {"label", q.Label},
		{"started", q.Started.Local().Format(time.RFC3339Nano)},
		{"sizes", fmt.Sprintf("%d bytes asked, %d answered", q.RequestBytes, q.ResponseBytes)},
		{"error", q.Error}, {"notable", q.Because}, {"trace", q.TraceID}, {"payload", q.Payload},
	} {
		if f.value != "" {
			fmt.Fprintf(&b, "  %-9s %s\n", f.name, printable(f.value))
		}
	}
	b.WriteString("\n")
	bars := q.bars()
	whole := max(1, q.DurationUS)
	for _, bar := range bars {
		whole = max(whole, bar.from+bar.took)
	}
	for _, bar := range bars {
		before := int(bar.from * barWidth / whole)
		length := max(1, int((bar.from+bar.took)*barWidth/whole)-before)
		before = min(before, barWidth-length)
		line := strings.Repeat(" ", before) + strings.Repeat("█", length) + strings.Repeat(" ", barWidth-before-length)
		mark := ""
		if bar.name == q.Slowest {
			mark = "  ← most of it"
		}
		if bar.open {
			mark += "  (still)"
		}
		fmt.Fprintf(&b, "  %-12s %s %12v%s\n", bar.name, line, time.Duration(bar.took)*time.Microsecond, mark)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
