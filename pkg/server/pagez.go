package server

import (
	"net/http"
)

// pagez is the answer of /pagez: what the page has to know of the server it is of.
type pagez struct {
	Service       string   `json:"service"` // its name in traces
	Build         Build    `json:"build"`
	Paths         []string `json:"paths"`
	Types         []string `json:"types"`          // names of request types
	TraceURL      string   `json:"trace_url"`      // of one trace, with {trace_id} in it; empty: not known
	DashboardsURL string   `json:"dashboards_url"` // empty: not known
}

// described adds the path that tells the page of all others.
func (in pagesParams) described(ps pages) pages {
	about := pagez{
		Service: in.Config.Tracing.Service, Build: ReadBuild(),
		Types:    in.Services.all(),
		TraceURL: in.Config.Tracing.URL, DashboardsURL: in.Config.Dashboards.URL,
	}
	ps = append(ps, adminPage{path: "/pagez", about: "what the page shows of this server itself", serve: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, about)
	})})
	for _, p := range ps {
		about.Paths = append(about.Paths, p.path)
	}
	return ps
}
