package e2e

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"go.yaml.in/yaml/v3"
)

// Under normal load no alert is even pending, and none fires in a deploy.
func TestAlertsStaySilent(t *testing.T) {
	const normal, afterwards = 45 * time.Second, 30 * time.Second
	first, second := serve(t, program{}), serve(t, program{})
	var clients []string
	for _, s := range []*service{first, second} {
		clients = append(clients,
			s.bench(t, nil, "--rate", "200", "--conns", "8", "--concurrency", "4").admin,
			s.bench(t, nil, "--rate", "20", "--type", "5", "--data", "50").admin)
	}
	blocks := serveStore(t, nil)
	blocks.useStore(t)
	p := startPrometheus(t, map[string][]string{"pktsvc": {first.admin, second.admin, blocks.admin}, "pktsvc-bench": clients},
		rule(t, "recording.rules.yaml"), rule(t, "alerts.rules.yaml"))
	p.scraped(t, 3)
	p.silent(t, normal, v1.AlertStatePending, v1.AlertStateFiring)

	first.signal(t, syscall.SIGTERM)
	<-first.done
	if first.err != nil {
		t.Errorf("the drain ended with %v", first.err)
	}
	again := begin(t, program{}, first.addr, first.admin)
	again.ready(t, again.url("/readyz"))
	again.bench(t, nil, "--rate", "200", "--conns", "8", "--concurrency", "4") // bench does not reconnect
	p.silent(t, afterwards, v1.AlertStateFiring)
	// What was pending in between is over: it has come back.
	p.silent(t, 5*time.Second, v1.AlertStatePending, v1.AlertStateFiring)
	for _, well := range []string{`min(up{job="pktsvc"}) == 1`, `sum(pktsvc_server_state{job="pktsvc",state="ready"}) == 3`} {
		if _, err := p.data(t.Context(), well); err != nil {
			t.Errorf("%s: %v", well, err)
		}
	}
}

// passing is how long an alert may be pending without a word: a scrape that was
// late once is no finding on a machine that does much else.
const passing = 3 * time.Second

// silent fails if an alert is in one of the states at any evaluation within a time.
func (p *prometheus) silent(t *testing.T, limit time.Duration, states ...v1.AlertState) {
	t.Helper()
	over := time.After(limit)
	for tick := time.Tick(time.Second); ; {
		result, err := p.Alerts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range result.Alerts {
			if a.State == v1.AlertStatePending && time.Since(a.ActiveAt) < passing {
				continue
			}
			if slices.Contains(states, a.State) {
				t.Fatalf("%s is %s: %v", a.Labels["alertname"], a.State, a.Labels)
			}
		}
		select {
		case <-tick:
		case <-over:
			t.Logf("silent for %v", limit)
			return
		}
	}
}

// Every alert fires when what it watches breaks. The rules are those that users
// get, except that they do not wait ("for") and are all evaluated once a second:
// the unit tests of the rules hold them to their times.
func TestAlertsFire(t *testing.T) {
	healthy, other := serve(t, program{}), serve(t, program{})
	targets := map[string][]string{"pktsvc": {healthy.admin, other.admin}}
	healthy.bench(t, nil, "--rate", "50")
	inject := make(map[string]func())
	for _, f := range faults {
		targets[f.job], inject[f.job] = f.prepare(t)
	}
	p := startPrometheus(t, targets, impatient(t, "recording.rules.yaml"), impatient(t, "alerts.rules.yaml"))
	p.scraped(t, 3)

	// One after the other would take minutes. Subtests may not start processes in
	// goroutines, so faults come one by one and alerts are awaited together.
	began := make(map[string]time.Time)
	for _, f := range faults {
		began[f.job] = time.Now()
		if inject[f.job] != nil {
			inject[f.job]()
		}
	}
	var all sync.WaitGroup
	for _, f := range faults {
		for _, alert := range f.alerts {
			all.Go(func() { p.fires(t, alert, f.job, began[f.job]) })
		}
	}
	all.Wait()

	// The panels that list alerts, which are empty in any other test.
	listing := inParts(t, readDashboards(t), true)
	if len(listing) == 0 {
		t.Error("no panel lists alerts")
	}
	p.mustHaveData(t, time.Now().Add(patience), listing)

	p.quiet(t, "pktsvc")
	other.kill()
	p.fires(t, "PktsvcInstanceDown", "pktsvc", time.Now())
	healthy.kill()
	p.fires(t, "PktsvcDown", "pktsvc", time.Now())
}

// fires waits until an alert fires for a job.
func (p *prometheus) fires(t *testing.T, alert, job string, since time.Time) {
	for tick := time.Tick(time.Second); ; <-tick {
		result, err := p.Alerts(t.Context())
		if err != nil {
			t.Errorf("%s: %v", alert, err)
			return
		}
		for _, a := range result.Alerts {
			if a.State == v1.AlertStateFiring && string(a.Labels["alertname"]) == alert && string(a.Labels["job"]) == job {
				t.Logf("%-32s fires for %-20s after %4.1f s", alert, job, time.Since(since).Seconds())
				return
			}
		}
		if time.Since(since) > 2*time.Minute {
			t.Errorf("%s does not fire for %s; these do: %v", alert, job, firing(result.Alerts, job))
			return
		}
	}
}

// quiet fails if an alert fires for a job.
func (p *prometheus) quiet(t *testing.T, job string) {
	t.Helper()
	result, err := p.Alerts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if list := firing(result.Alerts, job); len(list) > 0 {
		t.Errorf("for %s, which is well, there fire %v", job, list)
	}
}

func firing(alerts []v1.Alert, job string) (names []string) {
	for _, a := range alerts {
		if a.State == v1.AlertStateFiring && string(a.Labels["job"]) == job {
			names = append(names, string(a.Labels["alertname"]))
		}
	}
	return names
}

// impatient is a copy of a rule file without "for" and "interval".
func impatient(t *testing.T, name string) string {
	t.Helper()
	var file struct {
		Groups []map[string]any `yaml:"groups"`
	}
	read(t, rule(t, name), &file)
	for _, group := range file.Groups {
		delete(group, "interval")
		for _, r := range group["rules"].([]any) {
			delete(r.(map[string]any), "for")
		}
	}
	text, err := yaml.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, name, string(text))
}

// No alert is forgotten: each has a fault, or a reason why it has none.
func TestEveryAlertHasAFault(t *testing.T) {
	covered := maps.Clone(notCovered)
	for _, f := range faults {
		for _, alert := range f.alerts {
			covered[alert] = ""
		}
	}
	_, alerting := ruleQueries(t)
	known := make(map[string]bool)
	for _, q := range alerting {
		name := strings.TrimPrefix(q.where, "alert ")
		known[name] = true
		if _, ok := covered[name]; !ok {
			t.Errorf("%s: no fault makes it fire, and there is no reason for that", name)
		}
	}
	for name := range covered {
		if !known[name] {
			t.Errorf("there is no alert %s", name)
		}
	}
}
