package top

import (
	"errors"
	"time"
)

// Sample is what a server says of itself at one moment. It is only data: reading it
// concurrently is safe while nobody changes it.
type Sample struct {
	Totals Totals
	Conns  Connections
}

// Totals are the page /statz: counters since the server's start, and levels.
type Totals struct {
	Now     time.Time `json:"now"`
	Started time.Time `json:"started"`

	Connections     int    `json:"connections"` // open ones
	InFlight        int    `json:"in_flight"`   // calls of the server
	Serving         int    `json:"serving"`     // handlers that run
	Queued          int    `json:"queued"`      // requests that wait for one
	BytesReceived   uint64 `json:"bytes_received"`
	BytesSent       uint64 `json:"bytes_sent"`
	PacketsReceived uint64 `json:"packets_received"`
	PacketsSent     uint64 `json:"packets_sent"`
	Stalls          uint64 `json:"stalls"`

	Requests []Requests `json:"requests"`
}

// Requests are those of one type and role that have ended.
type Requests struct {
	Type     string            `json:"type"`
	Role     string            `json:"role"` // of the server: server or client
	Outcomes map[string]uint64 `json:"outcomes"`
	InFlight int               `json:"in_flight"`
	SumUS    int64             `json:"sum_us"`  // of durations
	Buckets  []Bucket          `json:"buckets"` // ascending, those that are not empty

	RequestBytes  uint64 `json:"request_bytes"` // of payloads
	ResponseBytes uint64 `json:"response_bytes"`
}

// Bucket is a duration in microseconds, and how many requests took up to it and longer
// than that of the bucket before.
type Bucket [2]float64

// Connections are the page /connz.
type Connections struct {
	Now     time.Time    `json:"now"`
	Matched int          `json:"matched"` // open ones; no more than the page's limit are listed
	List    []Connection `json:"connections"`
}

// Connection is an open one.
type Connection struct {
	Name       string          `json:"name"`
	Peer       string          `json:"peer"`
	Identity   string          `json:"identity"`
	Opened     time.Time       `json:"opened"`
	AgeSeconds float64         `json:"age_seconds"`
	Stats      ConnectionStats `json:"stats"`
	Latency    *struct {
		P99US float64 `json:"p99_us"`
	} `json:"latency"` // of its last requests
}

// ConnectionStats are the counters and levels of one connection.
type ConnectionStats struct {
	BytesReceived    uint64 `json:"bytes_received"`
	BytesSent        uint64 `json:"bytes_sent"`
	RequestsReceived uint64 `json:"requests_received"`
	ResponsesSent    uint64 `json:"responses_sent"`
	CallsSent        uint64 `json:"calls_sent"`
	Stalls           uint64 `json:"stalls"`
	InFlight         int    `json:"in_flight"`
	Serving          int    `json:"serving"`
	Queued           int    `json:"queued"`
	SendQueued       int    `json:"send_queued"`
	Paused           bool   `json:"paused"`
}

// Check tells an answer of something else from one of pktsvc: JSON that has none of
// the fields is read without an error. It may be called concurrently and does not block.
func (s *Sample) Check() error {
	if s.Totals.Now.IsZero() || s.Totals.Started.IsZero() || s.Conns.Now.IsZero() {
		return errors.New("the answer of the admin server is not one of pktsvc")
	}
	return nil
}

const outcomeOK = "ok"

// ended is how many have, and how many of them not ok.
func (r *Requests) ended() (all, failed uint64) {
	for outcome, n := range r.Outcomes {
		all += n
		if outcome != outcomeOK {
			failed += n
		}
	}
	return all, failed
}

// wentBack says whether a counter is less than it was, which only a new start explains.
func (t *Totals) wentBack(before *Totals) bool {
	if !t.Started.Equal(before.Started) || t.BytesReceived < before.BytesReceived || t.BytesSent < before.BytesSent ||
		t.PacketsReceived < before.PacketsReceived || t.PacketsSent < before.PacketsSent || t.Stalls < before.Stalls {
		return true
	}
	now := byName(t.Requests)
	for i := range before.Requests {
		was := &before.Requests[i]
		is := now[was.name()]
		if is == nil {
			if len(was.Outcomes) == 0 {
				continue // there was something in flight
			}
			return true
		}
		for outcome, n := range was.Outcomes {
			if is.Outcomes[outcome] < n {
				return true
			}
		}
	}
	return false
}

// name is what tells requests from others.
func (r *Requests) name() [2]string { return [2]string{r.Type, r.Role} }

func byName(list []Requests) map[[2]string]*Requests {
	m := make(map[[2]string]*Requests, len(list))
	for i := range list {
		m[list[i].name()] = &list[i]
	}
	return m
}
