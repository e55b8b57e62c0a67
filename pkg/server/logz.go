package server

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/pktsvc/pktsvc/pkg/logging"
)

// logz is the answer of /logz.
type logz struct {
	Now     time.Time         `json:"now"`
	Kept    int               `json:"kept"`    // lines that were looked through
	Matched int               `json:"matched"` // by the filter; those over the limit are not listed
	Lines   []json.RawMessage `json:"lines"`   // as the log has them
}

// logzLine is what filters look at in a line. Services may give these names to
// values of other types, which then match no filter.
type logzLine struct {
	Level   zapcore.Level   `json:"level"`
	Conn    json.RawMessage `json:"conn"`
	Tag     json.RawMessage `json:"tag"`
	TraceID json.RawMessage `json:"trace_id"`
}

func isText(raw json.RawMessage, want string) bool {
	var has string
	return json.Unmarshal(raw, &has) == nil && strings.EqualFold(has, want)
}

func isNumber(raw json.RawMessage, match func(uint64) bool) bool {
	var has *uint64
	return json.Unmarshal(raw, &has) == nil && has != nil && match(*has)
}

// logLister serves /logz: the last lines of the log, the latest first. Lines of
// the packet trace are not among them, they would leave no room for others.
type logLister struct{ recent *logging.Recent }

func (l logLister) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := newQuery(r.URL.Query(), "level", "conn", "tag", "trace_id", "text", "limit")
	level, _ := zapcore.ParseLevel(q.choice("level", append([]string{"debug"}, logLevels...)...))
	tag, limit := q.number("tag"), q.limit()
	conn, trace, text := q.values.Get("conn"), q.values.Get("trace_id"), []byte(q.values.Get("text"))
	if err := q.err(); err != nil {
		badRequest(w, err)
		return
	}
	lines := l.recent.Lines()
	out := logz{Now: time.Now(), Kept: len(lines), Lines: []json.RawMessage{}}
	for _, line := range lines {
		var has logzLine
		if err := json.Unmarshal(line, &has); err != nil ||
			has.Level < level ||
			conn != "" && !isText(has.Conn, conn) ||
			trace != "" && !isText(has.TraceID, trace) ||
			q.values.Get("tag") != "" && !isNumber(has.Tag, tag) ||
			!bytes.Contains(line, text) {
			continue
		}
		out.Matched++
		if len(out.Lines) < limit {
			out.Lines = append(out.Lines, line)
		}
	}
	writeJSON(w, http.StatusOK, out)
}
