package server

import (
	"net/http"
	"strconv"
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
	services services
}

func (l requestLister) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := newQuery(r.URL.Query(), append([]string{"state", "limit"}, flight.MatchParameters...)...)
	state, limit := q.choice("state", listInFlight, listNotable, listRecent, listAll), q.limit()
	match := q.match(l.services)
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
func (q *query) match(services services) *flight.Match {
	// A number may mean something else on another channel, a name does not.
	if channel, typ, found := services.find(q.values.Get("type")); found && len(services) > 1 {
		q.values.Set("type", strconv.FormatUint(typ, 10))
		if !q.values.Has("channel") {
			q.values.Set("channel", strconv.FormatUint(channel, 10))
		}
	}
	m, err := flight.ParseMatch(q.values, services.names())
	if err != nil {
		q.errs = append(q.errs, err)
	}
	return m
}
