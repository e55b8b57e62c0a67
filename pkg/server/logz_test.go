package server_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/server"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// The line about one request is found by its connection and tag.
func TestLogz(t *testing.T) {
	r := start(t, nil)
	conn := r.connect(t)
	for range 3 { // tags 2, 3, 4: nobody serves the type
		if _, err := conn.Call(t.Context(), stream.Request{Type: 4711}); err == nil {
			t.Fatal("an unknown type was answered ok")
		}
	}
	type page struct {
		Kept, Matched int
		Lines         []struct {
			Level, Msg, Conn string
			Tag              uint64
		}
	}
	var all page
	r.getJSON(t, "/logz?text=4711", &all)
	if all.Matched != 3 || len(all.Lines) != 3 || all.Lines[0].Tag != 4 || all.Lines[2].Tag != 2 {
		t.Fatalf("want the lines of tags 4, 3, 2, got %+v", all)
	}
	name := all.Lines[0].Conn
	for query, want := range map[string]int{
		"conn=" + name + "&tag=3":                           1,
		"conn=" + name + "&tag=3&level=error":               0,
		"conn=nobody":                                       0,
		"tag=3&trace_id=" + fmt.Sprint(all.Kept):            0,
		"text=4711&limit=1":                                 3,
		"level=info&text=" + url.QueryEscape(`"listening"`): 1,
	} {
		var found page
		r.getJSON(t, "/logz?"+query, &found)
		if found.Matched != want || found.Kept < 4 {
			t.Errorf("%s: %d of %d lines, want %d", query, found.Matched, found.Kept, want)
		}
		if query == "text=4711&limit=1" && len(found.Lines) != 1 {
			t.Errorf("%s: %d lines are listed", query, len(found.Lines))
		}
	}
	if code, body := r.get(t, "/logz?tag=x"); code != 400 {
		t.Errorf("tag=x: %d %s", code, body)
	}
}

func TestLogzKeepsAsManyAsConfigured(t *testing.T) {
	r := start(t, func(c *server.Config) { c.Log.Recent = 2 })
	conn := r.connect(t)
	for range 10 {
		_, _ = conn.Call(t.Context(), stream.Request{Type: 4711}) // rejected
	}
	var found struct {
		Kept  int
		Lines []json.RawMessage
	}
	r.getJSON(t, "/logz", &found)
	if found.Kept != 2 || len(found.Lines) != 2 {
		t.Errorf("%d lines are kept, want 2", found.Kept)
	}
}
