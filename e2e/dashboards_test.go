package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// query is one expression that a user meets, with where it stands.
type query struct {
	where    string
	expr     string
	exemplar bool // exemplars are shown with it
}

// dashboard is the part of a Grafana dashboard that holds queries.
type dashboard struct {
	Title       string
	Panels      []panel
	Annotations struct{ List []struct{ Name, Expr string } }
	Templating  struct {
		List []struct {
			Name, Type string
			Query      json.RawMessage
		}
	}
}

type panel struct {
	Type, Title string
	Panels      []panel // of a row that is collapsed
	Targets     []struct {
		Expr     string
		Exemplar bool
	}
}

// readDashboards lists all queries of all dashboards, as Grafana would send them.
func readDashboards(t *testing.T) (list []query) {
	t.Helper()
	paths, err := filepath.Glob(dashboards)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no dashboards at %s: %v", dashboards, err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for _, a := range d.Annotations.List {
			if a.Expr != "" { // the built-in one has none
				list = append(list, query{where: d.Title + " / annotation " + a.Name, expr: a.Expr})
			}
		}
		for _, v := range d.Templating.List {
			if v.Type == "query" {
				list = append(list, query{where: d.Title + " / variable " + v.Name, expr: seriesOf(t, v.Query)})
			}
		}
		list = append(list, queriesOf(t, d.Title, d.Panels)...)
	}
	for i := range list {
		list[i].expr = interpolate(list[i].expr)
	}
	return list
}

func queriesOf(t *testing.T, where string, panels []panel) (list []query) {
	t.Helper()
	for _, p := range panels {
		at := where + " / " + p.Title
		if len(p.Targets) == 0 && p.Type != "row" && p.Type != "text" {
			t.Errorf("%s: no query", at)
		}
		for _, target := range p.Targets {
			list = append(list, query{where: at, expr: target.Expr, exemplar: target.Exemplar})
		}
		list = append(list, queriesOf(t, where, p.Panels)...)
	}
	return list
}

var labelValues = regexp.MustCompile(`^label_values\((.+), *\w+\)$`)

// seriesOf is the selector in the query of a variable, which is a text or an
// object with one.
func seriesOf(t *testing.T, raw json.RawMessage) string {
	t.Helper()
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		var object struct{ Query string }
		if err := json.Unmarshal(raw, &object); err != nil {
			t.Fatalf("the query of a variable: %s: %v", raw, err)
		}
		text = object.Query
	}
	match := labelValues.FindStringSubmatch(text)
	if match == nil {
		t.Fatalf("the query of a variable is %q, want label_values(…)", text)
	}
	return match[1]
}

// Windows that a test of a few seconds can fill.
const (
	rateInterval = 15 * time.Second
	dashRange    = time.Minute
)

// interpolate does what Grafana does with variables. Every variable is at its
// default; that of the client's dashboard is the job of the load.
func interpolate(expr string) string {
	return strings.NewReplacer(
		"$__rate_interval", rateInterval.String(), "${__rate_interval}", rateInterval.String(),
		"$__interval", "5s", "$__range", dashRange.String(), "${__range}", dashRange.String(),
		"$job", ".*", "${job}", ".*", "$instance", ".*", "${instance}", ".*", "$type", ".*", "${type}", ".*",
	).Replace(expr)
}
