package server

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// How many entries a listing has by default, and at most.
const (
	defaultListed = 1_000
	maxListed     = 100_000
)

// query reads the parameters of a listing and collects what is wrong with them.
type query struct {
	values url.Values
	errs   []error
}

// newQuery refuses parameters that are not known, so that a misspelt filter
// does not look like one that matches everything.
func newQuery(values url.Values, known ...string) *query {
	q := &query{values: values}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(known, name) {
			q.errs = append(q.errs, fmt.Errorf("unknown parameter %q, want one of %s", name, strings.Join(known, ", ")))
		}
	}
	return q
}

func (q *query) err() error { return errors.Join(q.errs...) }

// number returns a filter for a number, which passes everything if it was not given.
func (q *query) number(name string) func(uint64) bool {
	text := q.values.Get(name)
	if text == "" {
		return func(uint64) bool { return true }
	}
	want, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		q.errs = append(q.errs, fmt.Errorf("%s=%q is not a whole number", name, text))
	}
	return func(n uint64) bool { return n == want }
}

// choice returns one of the allowed words; the first is the default.
func (q *query) choice(name string, allowed ...string) string {
	text := q.values.Get(name)
	if text == "" {
		return allowed[0]
	}
	if !slices.Contains(allowed, text) {
		q.errs = append(q.errs, fmt.Errorf("%s=%q, want one of %s", name, text, strings.Join(allowed, ", ")))
	}
	return text
}

func (q *query) limit() int {
	text := q.values.Get("limit")
	if text == "" {
		return defaultListed
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > maxListed {
		q.errs = append(q.errs, fmt.Errorf("limit=%q is not a whole number from 0 to %d", text, maxListed))
	}
	return n
}
