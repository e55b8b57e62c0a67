package e2e

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// fewestExpressions is how many the dashboards have at least; fewer means that
// they were not read.
const fewestExpressions = 30

// Every panel, variable and annotation of every dashboard, every recording rule
// and every operand of every alert finds data on a loaded service and its client.
// So does every operand of panels and recording rules: many show a zero when they
// find nothing, which would hide a metric that does not exist.
func TestEveryQueryHasData(t *testing.T) {
	p := loaded(t)
	panels := readDashboards(t)
	if len(panels) < fewestExpressions {
		t.Errorf("the dashboards have %d expressions, want at least %d", len(panels), fewestExpressions)
	}
	recorded, alerting := ruleQueries(t)
	deadline := time.Now().Add(patience)
	for _, set := range []struct {
		name    string
		queries []query
	}{
		{"dashboards", panels},
		{"recording rules", recorded},
		{"operands of both", inParts(t, slices.Concat(panels, recorded), false)},
		{"operands of alerts", alerting},
	} {
		t.Run(set.name, func(t *testing.T) {
			found := p.mustHaveData(t, deadline, set.queries)
			t.Logf("%d of %d expressions of %s have data", found, len(set.queries), set.name)
		})
	}
}

// loaded is a Prometheus that has scraped a service, a store and clients under load,
// with the rules in force.
func loaded(t *testing.T) *prometheus {
	t.Helper()
	j := startJaeger(t)
	s := serve(t, program{env: j.environment()}, certified(t, 90*24*time.Hour)...)
	env := append(j.environment(), "OTEL_SERVICE_NAME=pktsvc-bench")
	targets := []string{
		s.bench(t, env, "--rate", "100", "--conns", "4", "--concurrency", "4").admin,
		s.bench(t, env, "--rate", "20", "--type", "5", "--data", "20").admin,
		s.bench(t, env, "--rate", "1", "--type", "2").admin,
		s.bench(t, env, "--rate", "10", "--type", "7").admin, // the service calls, too
	}
	blocks := serveStore(t, j.environment())
	blocks.useStore(t)
	p := startPrometheus(t, map[string][]string{"pktsvc": {s.admin, blocks.admin}, "pktsvc-bench": targets},
		rule(t, "recording.rules.yaml"), rule(t, "alerts.rules.yaml"))
	p.scraped(t, int(rateInterval/time.Second))
	return p
}

// patience is how long the slowest group of rules may take to its first result.
const patience = 90 * time.Second

// mustHaveData fails if a query finds no data until the deadline. It returns how
// many do.
func (p *prometheus) mustHaveData(t *testing.T, deadline time.Time, queries []query) (found int) {
	t.Helper()
	for _, q := range queries {
		_, err := p.data(t.Context(), q.expr)
		for tick := time.Tick(time.Second); errors.Is(err, errNoData) && time.Now().Before(deadline); {
			<-tick
			_, err = p.data(t.Context(), q.expr)
		}
		if err != nil {
			t.Errorf("%s: %v:\n%s", q.where, err, q.expr)
			continue
		}
		found++
	}
	return found
}

var errNoData = errors.New("no data")

// data runs an instant query. The error is errNoData if there is no sample, or
// none that is a number.
func (p *prometheus) data(ctx context.Context, expr string) (model.Vector, error) {
	value, _, _, err := p.Query(ctx, expr, time.Now())
	if err != nil {
		return nil, err
	}
	switch v := value.(type) {
	case *model.Scalar:
		return model.Vector{{Value: v.Value}}, nil
	case model.Vector:
		if slices.ContainsFunc(v, func(s *model.Sample) bool { return s.Histogram != nil || !math.IsNaN(float64(s.Value)) }) {
			return v, nil
		}
		return nil, fmt.Errorf("%w in %d series", errNoData, len(v))
	}
	return nil, fmt.Errorf("the result is a %s, which no panel can show", value.Type())
}

// ruleQueries lists the expressions of recording rules, with what they record,
// and of alerts what must be there while they are silent.
func ruleQueries(t *testing.T) (recorded, alerting []query) {
	t.Helper()
	for _, name := range []string{"recording.rules.yaml", "alerts.rules.yaml"} {
		groups, errs := rulefmt.ParseFile(rule(t, name), false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
		if len(errs) > 0 {
			t.Fatal(errors.Join(errs...))
		}
		for _, g := range groups.Groups {
			for _, r := range g.Rules {
				if r.Record != "" {
					recorded = append(recorded, query{where: r.Record, expr: r.Expr}, query{where: r.Record, expr: r.Record})
					continue
				}
				for _, e := range operands(parse(t, r.Expr)) {
					alerting = append(alerting, query{where: "alert " + r.Alert, expr: e.String()})
				}
			}
		}
	}
	return recorded, alerting
}
