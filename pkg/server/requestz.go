package server

import (
	"net/http"
	"time"

	"github.com/pktsvc/pktsvc/pkg/flight"
)

// requestz is the answer of /requestz.
type requestz struct {
	Now      time.Time        `json:"now"`
	Matched  int              `json:"matched"` // by the filter; those over the limit are not listed
	Requests []flight.Request `json:"requests"`
}

// The values of state: which requests /requestz lists.
const (
	listInFlight = "in_flight"
	listNotable  = "notable"
	listRecent   = "recent"
	listAll      = "all"
)

// requestLister serves /requestz: what is in flight now, the oldest first, and what has
// ended, the latest first.
type requestLister struct {
	recorder *flight.Recorder
	types    map[uint64]string
}

func (l requestLister) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := newQuery(r.URL.Query(), append([]string{"state", "limit"}, flight.MatchParameters...)...)
	state, limit := q.choice("state", listInFlight, listNotable, listRecent, listAll), q.limit()
	match := q.match(l.types)
	if err := q.err(); err != nil {
		badRequest(w, err)
		return
	}
	list := []flight.Request{}
	if state == listInFlight || state == listAll {
		list = append(list, l.recorder.InFlight(match)...)
	}
	switch state {
	case listNotable:
		list = append(list, l.recorder.Notable(match, maxListed)...)
	case listRecent:
		list = append(list, l.recorder.Recent(match, limit)...)
	case listAll:
		list = append(list, l.recorder.Ended(match, limit)...)
	}
	writeJSON(w, http.StatusOK, requestz{Now: time.Now(), Matched: len(list), Requests: list[:min(limit, len(list))]})
}

// match reads the parameters that say which requests are meant.
func (q *query) match(types map[uint64]string) *flight.Match {
	m, err := flight.ParseMatch(q.values, types)
	if err != nil {
		q.errs = append(q.errs, err)
	}
	return m
}
