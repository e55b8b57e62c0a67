package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/pktsvc/pktsvc/pkg/flight"
)

// How many requests in a second a tap shows by default, and at most.
const (
	defaultTapRate = 100
	maxTapRate     = 10_000
)

// tapBeat is how often a tap that has nothing to show says that it is there, and how
// often it says what it has dropped. tapWrite is how long its client may take to read.
const (
	tapBeat  = time.Second
	tapWrite = 10 * time.Second
)

// tapper serves /tap: requests as they end, one JSON object a line, until the client goes
// away or the server ends. Lines of the form {"dropped":N} say how many were left out
// since the last one; empty lines say that nothing happens.
type tapper struct {
	recorder *flight.Recorder
	services services
}

func (t tapper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := newQuery(r.URL.Query(), append([]string{"rate"}, flight.MatchParameters...)...)
	rate, match := q.within("rate", defaultTapRate, maxTapRate), q.match(t.services)
	if err := q.err(); err != nil {
		badRequest(w, err)
		return
	}
	tap, err := t.recorder.Tap(match, rate)
	if err != nil {
		writeJSON(w, http.StatusServiceUnavailable, map[string]string{"error": err.Error()})
		return
	}
	defer tap.Close()
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	t.stream(r, tap, json.NewEncoder(w), http.NewResponseController(w), w)
}

func (t tapper) stream(r *http.Request, tap *flight.Tap, enc *json.Encoder, ctl *http.ResponseController, w http.ResponseWriter) {
	beat := time.NewTicker(tapBeat)
	defer beat.Stop()
	told := uint64(0)
	for {
		if ctl.SetWriteDeadline(time.Now().Add(tapWrite)) != nil || ctl.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case request := <-tap.Requests:
			if enc.Encode(request) != nil {
				return
			}
			for range len(tap.Requests) { // they leave in one write
				if enc.Encode(<-tap.Requests) != nil {
					return
				}
			}
		case <-beat.C:
			if n := tap.Dropped(); n > told {
				if enc.Encode(map[string]uint64{"dropped": n - told}) != nil {
					return
				}
				told = n
			} else if _, err := w.Write([]byte("\n")); err != nil {
				return
			}
		}
	}
}

// within reads a whole number from 1 to most.
func (q *query) within(name string, def, most int) int {
	text := q.values.Get(name)
	if text == "" {
		return def
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		q.errs = append(q.errs, fmt.Errorf("%s=%q is not a whole number from 1 to %d", name, text, most))
	}
	return n
}
