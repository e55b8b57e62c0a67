package server

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/pktsvc/pktsvc/pkg/logging"
)

// traceSwitch serves /log/trace: which connections have their packets logged.
type traceSwitch struct{ log *logging.Observer }

type traced struct {
	All   bool     `json:"all"`
	Conns []string `json:"conns"` // those that are traced by themselves
}

func (s traceSwitch) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodPut:
		if err := s.change(r); err != nil {
			badRequest(w, err)
			return
		}
	default:
		w.Header().Set("Allow", "GET, HEAD, PUT")
		http.Error(w, "want GET or PUT", http.StatusMethodNotAllowed)
		return
	}
	state := traced{Conns: []string{}}
	all, conns := s.log.Traced()
	state.All, state.Conns = all, append(state.Conns, conns...)
	writeJSON(w, http.StatusOK, state)
}

func (s traceSwitch) change(r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	q := newQuery(r.Form, "conn", "all", "on")
	if err := q.err(); err != nil {
		return err
	}
	on, err := strconv.ParseBool(r.Form.Get("on"))
	if err != nil {
		return fmt.Errorf("on=%q, want true or false", r.Form.Get("on"))
	}
	conn, all := r.Form.Get("conn"), r.Form.Get("all")
	switch {
	case conn != "" && all == "":
		return s.log.SetTrace(conn, on)
	case conn == "" && all == "true":
		return s.log.SetTraceAll(on)
	}
	return errors.New("want either conn=NAME, as /connz lists it, or all=true")
}
