package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"go.uber.org/fx"
	"go.uber.org/zap"

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

// What the app's own services log with the logger of the server is kept, too.
func TestLogzHasTheLinesOfServices(t *testing.T) {
	var admin *server.AdminServer
	cfg := server.Default()
	cfg.Listen, cfg.Admin = []string{"tcp://127.0.0.1:0"}, "127.0.0.1:0"
	app := server.New(cfg, fx.Populate(&admin), fx.Invoke(func(log *zap.Logger) { log.Named("orders").Info("said by a service") }))
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := &running{admin: admin}
	if _, body := r.get(t, "/logz"); strings.Count(body, "said by a service") != 1 || strings.Count(body, `"listening"`) != 1 {
		t.Errorf("want each line once:\n%s", body)
	}
	if err := app.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}
