package server

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// requestz is the answer of /requestz.
type requestz struct {
	Now      time.Time       `json:"now"`
	Matched  int             `json:"matched"` // by the filter; those over the limit are not listed
	Requests []requestzEntry `json:"requests"`
}

type requestzEntry struct {
	Conn       string     `json:"conn"`
	Peer       string     `json:"peer"`
	Role       string     `json:"role"`  // of this side: server or client
	State      string     `json:"state"` // queued, running, waiting or given_up
	Channel    uint64     `json:"channel"`
	Tag        uint64     `json:"tag"`
	Type       uint64     `json:"type"`
	Method     string     `json:"method,omitempty"`
	Label      string     `json:"label,omitempty"`
	Flags      uint64     `json:"flags"`
	Size       int        `json:"size"`
	Begun      *time.Time `json:"begun,omitempty"`
	AgeSeconds float64    `json:"age_seconds"`
}

// requestLister serves /requestz: what is in flight now, the oldest first.
type requestLister struct {
	conns    *connections
	services services
}

func (l requestLister) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := newQuery(r.URL.Query(), "conn", "tag", "type", "channel", "role", "limit")
	tag, typ, channel := q.number("tag"), q.number("type"), q.number("channel")
	role, limit, conn := q.choice("role", "any", "client", "server"), q.limit(), q.values.Get("conn")
	if err := q.err(); err != nil {
		badRequest(w, err)
		return
	}
	now := time.Now()
	list := []requestzEntry{}
	for _, c := range l.conns.all() {
		if conn != "" && c.name != conn {
			continue
		}
		for _, open := range c.conn.OpenRequests() {
			if tag(open.Tag) && typ(open.Type) && channel(open.Channel) && (role == "any" || role == open.Role.String()) {
				list = append(list, l.entry(c, open, now))
			}
		}
	}
	slices.SortStableFunc(list, func(a, b requestzEntry) int { return cmp.Compare(b.AgeSeconds, a.AgeSeconds) })
	writeJSON(w, http.StatusOK, requestz{Now: now, Matched: len(list), Requests: list[:min(limit, len(list))]})
}

func (l requestLister) entry(c *connection, open stream.OpenRequest, now time.Time) requestzEntry {
	e := requestzEntry{
		Conn: c.name, Peer: c.peer, Role: open.Role.String(), State: open.State.String(),
		Channel: open.Channel, Tag: open.Tag, Type: open.Type, Label: open.Label,
		Flags: open.Flags, Size: open.Size,
	}
	if open.Role == stream.RoleServer {
		e.Method = l.services.name(open.Channel, open.Type)
	}
	if !open.Begun.IsZero() {
		e.Begun, e.AgeSeconds = &open.Begun, now.Sub(open.Begun).Seconds()
	}
	return e
}
