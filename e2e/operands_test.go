package e2e

import (
	"slices"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
)

func parse(t *testing.T, expr string) parser.Expr {
	t.Helper()
	e, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	return e
}

// operands takes an expression apart at its comparisons and set operators, which
// leave nothing while all is well, or something where there is nothing, into the
// vectors that must be there in any case. None has such an operator, so that it is
// empty if a metric in it does not exist.
func operands(e parser.Expr) (list []parser.Expr) {
	switch e := e.(type) {
	case *parser.ParenExpr:
		return operands(e.Expr)
	case *parser.BinaryExpr:
		if filters(e) {
			return append(operands(e.LHS), operands(e.RHS)...)
		}
	case *parser.AggregateExpr:
		if filters(e.Expr) {
			return operands(e.Expr)
		}
	case *parser.SubqueryExpr:
		if filters(e.Expr) {
			return operands(e.Expr)
		}
	case *parser.Call:
		if e.Func.Name == "absent" || slices.ContainsFunc(e.Args, func(arg parser.Expr) bool { return filters(arg) }) {
			for _, arg := range e.Args {
				list = append(list, operands(arg)...)
			}
			return list
		}
	}
	if !selects(e) {
		return nil // a number, the time
	}
	return []parser.Expr{e}
}

// inParts lists the operands of queries that have several, each once: those that
// look at alerts, of which there are none while all is well, or all others.
func inParts(t *testing.T, queries []query, alerts bool) (list []query) {
	t.Helper()
	seen := make(map[string]bool)
	for _, q := range queries {
		whole := parse(t, q.expr)
		for _, e := range operands(whole) {
			expr := e.String()
			if seen[expr] || !filters(whole) || looksAtAlerts(e) != alerts {
				continue
			}
			seen[expr] = true
			list = append(list, query{where: q.where, expr: expr})
		}
	}
	return list
}

func looksAtAlerts(e parser.Expr) bool {
	return contains(e, func(n parser.Node) bool {
		v, ok := n.(*parser.VectorSelector)
		return ok && v.Name == "ALERTS"
	})
}

// filters says that there is a comparison or a set operator in e.
func filters(e parser.Expr) bool {
	return contains(e, func(n parser.Node) bool {
		b, ok := n.(*parser.BinaryExpr)
		return ok && (b.Op.IsSetOperator() || b.Op.IsComparisonOperator() && !b.ReturnBool)
	})
}

func selects(e parser.Expr) bool {
	return contains(e, func(n parser.Node) bool { _, ok := n.(*parser.VectorSelector); return ok })
}

func contains(e parser.Expr, is func(parser.Node) bool) (found bool) {
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		found = found || n != nil && is(n)
		return nil
	})
	return found
}

func TestOperands(t *testing.T) {
	for expr, want := range map[string][]string{
		`up == 0`: {`up`},
		`rate(a[5m]) / rate(b[5m]) > 0.1 and b > 1 / 60`:                                 {`rate(a[5m]) / rate(b[5m])`, `b`},
		`sum(up{job="x"}) == 0 or absent(up{job="x"})`:                                   {`sum(up{job="x"})`, `up{job="x"}`},
		`(time() - a) / b > 0.5 and a > 0`:                                               {`(time() - a) / b`, `a`},
		`c == 0 unless on (job) group by (job) (a > 0 and time() - a < b)`:               {`c`, `a`, `time() - a`, `b`},
		`(sum(a) and sum(b) > 0) or on () label_replace(vector(0), "x", "none", "", "")`: {`sum(a)`, `sum(b)`},
		`1 - (a or vector(0))`:                                                           {`a`},
		`max_over_time((a > 0)[5m:])`:                                                    {`a`},
		`a > 14.4 * (1 - b)`:                                                             {`a`, `14.4 * (1 - b)`},
	} {
		var got []string
		for _, e := range operands(parse(t, expr)) {
			got = append(got, e.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", expr, got, want)
		}
	}
}
