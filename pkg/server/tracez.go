package server

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/pktsvc/pktsvc/pkg/flight"
)

// ruleEntry is a rule as /tracez shows it.
type ruleEntry struct {
	ID    uint64    `json:"id"`
	Match string    `json:"match"` // empty: all requests
	Every uint64    `json:"every"`
	Log   bool      `json:"log"`
	Span  bool      `json:"span"`
	Bytes int       `json:"payload"` // how many bytes of payloads it wants
	Until time.Time `json:"until"`
	Count uint64    `json:"count"`
	Taken uint64    `json:"taken"`
}

func entryOfRule(r *flight.Rule) ruleEntry {
	return ruleEntry{r.ID, r.Match.String(), r.Every, r.Log, r.Span, r.Payload, r.Until, r.Count, r.Taken()}
}

// ruler serves /tracez: GET lists the rules in force, POST adds one, and DELETE removes
// one.
type ruler struct {
	recorder *flight.Recorder
	services services
}

func (l ruler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		badRequest(w, err)
		return
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		list := []ruleEntry{}
		for _, rule := range l.recorder.Rules() {
			list = append(list, entryOfRule(rule))
		}
		writeJSON(w, http.StatusOK, map[string]any{"now": time.Now(), "rules": list})
	case http.MethodPost:
		l.add(w, r)
	case http.MethodDelete:
		l.remove(w, r)
	default:
		w.Header().Set("Allow", "GET, HEAD, POST, DELETE")
		http.Error(w, "want GET, POST or DELETE", http.StatusMethodNotAllowed)
	}
}

func (l ruler) add(w http.ResponseWriter, r *http.Request) {
	q := newQuery(r.Form, append([]string{"every", "log", "span", "payload", "for", "count"}, flight.MatchParameters...)...)
	o := flight.RuleOptions{
		Every:   uint64(q.within("every", 1, flight.MaxRuleCount)),
		Count:   uint64(q.within("count", flight.DefaultRuleCount, flight.MaxRuleCount)),
		Payload: q.within("payload", 0, flight.MaxPayload),
		For:     q.duration("for", flight.DefaultRuleTime),
		Log:     q.choice("log", "false", "true") == "true", Span: q.choice("span", "true", "false") == "true",
	}
	match := q.match(l.services)
	if err := q.err(); err != nil {
		badRequest(w, err)
		return
	}
	o.Match = *match
	rule, err := l.recorder.AddRule(o)
	if err != nil {
		badRequest(w, err)
		return
	}
	writeJSON(w, http.StatusCreated, entryOfRule(rule))
}

func (l ruler) remove(w http.ResponseWriter, r *http.Request) {
	text := r.Form.Get("id")
	id, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		badRequest(w, fmt.Errorf("id=%q, want the number of a rule", text))
		return
	}
	rule := l.recorder.Rule(id)
	if rule == nil {
		writeJSON(w, http.StatusNotFound, map[string]string{"error": fmt.Sprintf("there is no rule %d (any more)", id)})
		return
	}
	rule.Remove()
	writeJSON(w, http.StatusOK, entryOfRule(rule))
}

// duration reads a time such as 10m.
func (q *query) duration(name string, def time.Duration) time.Duration {
	text := q.values.Get(name)
	if text == "" {
		return def
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		q.errs = append(q.errs, fmt.Errorf("%s=%q, want a time with its unit, such as 30s or 10m", name, text))
	}
	return d
}
