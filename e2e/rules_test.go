package e2e

import (
	"path/filepath"
	"testing"
)

// The rules and the configuration that users get are sound, and do what their
// unit tests say.
func TestRules(t *testing.T) {
	rules := []string{rule(t, "recording.rules.yaml"), rule(t, "alerts.rules.yaml")}
	promtool(t, nil, append([]string{"check", "rules", "--lint=all", "--lint-fatal"}, rules...)...)
	promtool(t, nil, "check", "config", rule(t, "prometheus.yml"))
	tests, err := filepath.Glob(filepath.Join(rulesDir, "*.test.yaml"))
	if err != nil || len(tests) == 0 {
		t.Fatalf("no unit tests in %s: %v", rulesDir, err)
	}
	promtool(t, nil, append([]string{"test", "rules"}, tests...)...)
}

// What a service and its client expose follows the conventions of Prometheus.
func TestMetricsAreClean(t *testing.T) {
	s := serve(t, program{})
	l := s.bench(t, nil, "--rate", "10")
	for _, url := range []string{s.url("/metrics"), "http://" + l.admin + "/metrics"} {
		page, err := get(url)
		if err != nil {
			t.Fatal(err)
		}
		promtool(t, page, "check", "metrics")
	}
}
