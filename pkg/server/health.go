package server

import (
	"net/http"
	"sync/atomic"
	"time"
)

// health is where the server stands in its life.
type health struct {
	state      atomic.Int32
	drainBegan atomic.Int64 // in Unix nanoseconds; 0 before
}

const (
	stateStarting int32 = iota // not all listeners are open
	stateReady
	stateDraining // going down, or gone
)

var stateNames = [...]string{"starting", "ready", "draining"}

func (h *health) set(state int32) { h.state.Store(state) }

func (h *health) drain(began time.Time) {
	h.drainBegan.Store(began.UnixNano())
	h.set(stateDraining)
}

// What the probes of /livez, /startupz and /readyz ask.
func alive(int32) bool         { return true }
func started(state int32) bool { return state != stateStarting }
func ready(state int32) bool   { return state == stateReady }

func (h *health) probe(ok func(state int32) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		state, code := h.state.Load(), http.StatusOK
		if !ok(state) {
			code = http.StatusServiceUnavailable
		}
		writeJSON(w, code, map[string]string{"state": stateNames[state]})
	})
}
