package server_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/fx"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/instrument"
)

var update = flag.Bool("update", false, "write testdata/metrics.golden and docs/METRICS.md anew")

// family is what dashboards and alerts depend on of a metric.
type family struct {
	Name    string              `json:"name"`
	Type    string              `json:"type"`
	Help    string              `json:"help"`
	Labels  map[string][]string `json:"labels,omitempty"` // with all their values
	Buckets []float64           `json:"buckets,omitempty"`
	Native  int32               `json:"native_schema,omitempty"`
}

// Labels whose values differ from build to build.
var variable = map[string]bool{"version": true, "revision": true, "goversion": true}

// families describes all metrics of a server, but those of the Go runtime and the
// process, which are the business of their collectors.
func families(t *testing.T) []family {
	t.Helper()
	var registry *prometheus.Registry
	// Those of TLS are there only with TLS, and those of the store with a store.
	secure(t, newAuthority(t), nil, fx.Populate(&registry), fx.Invoke(observeStore))
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	gathered, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var list []family
	for _, g := range gathered {
		if !strings.HasPrefix(g.GetName(), "pktsvc_") && !strings.HasPrefix(g.GetName(), "promhttp_") {
			continue
		}
		f := family{Name: g.GetName(), Type: strings.ToLower(g.GetType().String()), Help: g.GetHelp(), Labels: map[string][]string{}}
		for _, m := range g.GetMetric() {
			for _, l := range m.GetLabel() {
				value := l.GetValue()
				if variable[l.GetName()] {
					value = "…"
				}
				if !slices.Contains(f.Labels[l.GetName()], value) {
					f.Labels[l.GetName()] = append(f.Labels[l.GetName()], value)
				}
			}
			if h := m.GetHistogram(); h != nil && f.Buckets == nil {
				f.Native = h.GetSchema()
				for _, b := range h.GetBucket() {
					f.Buckets = append(f.Buckets, b.GetUpperBound())
				}
			}
		}
		for _, values := range f.Labels {
			slices.Sort(values)
		}
		list = append(list, f)
	}
	return list
}

// observeStore adds a store, as a program does that serves one.
func observeStore(r *prometheus.Registry) error {
	observed, err := instrument.New(r, instrument.Options{})
	if err != nil {
		return err
	}
	observed.Backend(struct {
		*store.Memory
		cache
		onDisk
	}{store.NewMemory(store.DefaultClass, 0), cache{}, onDisk{}})
	return nil
}

// cache is what a backend with a cache has that one in memory has not.
type cache struct{}

func (cache) CacheStats() (hits, misses uint64) { return 0, 0 }

// onDisk is what a backend on a disk has.
type onDisk struct{}

func (onDisk) DiskUsage() (usage store.DiskUsage) { return usage }

// Names, types, labels and help are a promise to dashboards and alerts.
func TestMetricsAreThoseOfTheGoldenFile(t *testing.T) {
	const file, document = "testdata/metrics.golden", "../../docs/METRICS.md"
	golden, err := json.MarshalIndent(families(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden = append(golden, '\n')
	compare(t, file, golden)
	var list []family
	if err := json.Unmarshal(golden, &list); err != nil {
		t.Fatal(err)
	}
	compare(t, document, []byte(metricsDocument(list)))
}

// compare compares a file with what it should be, or writes it.
func compare(t *testing.T, path string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s is not current; dashboards and alerts depend on metrics; if the change is meant, run the test with -update. Want:\n%s", path, want)
	}
}

const documentHead = `# Metrics

Every metric that ` + "`/metrics`" + ` of ` + "`pktsvc serve`" + ` has, and of ` + "`pktsvc bench --admin`" + `
but those of the server. Those of the store are there where a store is served; how many
blocks and bytes it has, what its cache does and how full its disk is, where its backend knows. This file is made from
[pkg/server/testdata/metrics.golden](../pkg/server/testdata/metrics.golden) by
` + "`go test ./pkg/server -run Golden -update`" + `; a test keeps both current.

- All series exist from the start with the value 0, for every registered request
  type, outcome and reason: the first increment is not lost, and a panel or an
  alert never meets an absent series.
- The label ` + "`type`" + ` has the names of the registered request types, and ` + "`other`" + ` for all
  that have none. Tags, channels, names of connections and addresses of peers are
  never labels: whatever a peer sends, the number of series stays as it is.
- What each outcome and reason means, and whose fault it is, stands in
  [OPERATIONS.md](OPERATIONS.md#what-each-error-means).
- Durations are in seconds, sizes in bytes. Histograms have classic buckets and
  native ones (growth 1.1) side by side; Prometheus keeps both with
  ` + "`scrape_native_histograms: true`" + ` and ` + "`always_scrape_classic_histograms: true`" + `.
- Requests whose trace is sampled leave an exemplar with the label ` + "`trace_id`" + ` in the
  histogram of durations. Prometheus keeps exemplars with
  ` + "`--enable-feature=exemplar-storage`" + `.
- Besides, there are ` + "`go_*`" + ` and ` + "`process_*`" + `, from the collectors of client_golang, with
  the runtime's own histograms of scheduling latency and pauses.
`

// groups are the sections of the document, by prefix; the longest counts.
var groups = []struct{ prefix, title string }{
	{"pktsvc_request", "Requests"},
	{"pktsvc_response", "Requests"},
	{"pktsvc_handler", "Requests"},
	{"pktsvc_connections", "Connections and packets"},
	{"pktsvc_packet", "Connections and packets"},
	{"pktsvc_readers", "Connections and packets"},
	{"pktsvc_send", "Connections and packets"},
	{"pktsvc_server", "The server"},
	{"pktsvc_store", "The store"},
	{"", "Build, logs, traces and the scrape itself"},
}

func metricsDocument(list []family) string {
	sections := make(map[string][]family)
	for _, f := range list {
		for _, g := range groups {
			if strings.HasPrefix(f.Name, g.prefix) {
				sections[g.title] = append(sections[g.title], f)
				break
			}
		}
	}
	b := new(strings.Builder)
	b.WriteString(documentHead)
	done := make(map[string]bool)
	for _, g := range groups {
		if done[g.title] {
			continue
		}
		done[g.title] = true
		fmt.Fprintf(b, "\n## %s\n", g.title)
		for _, f := range sections[g.title] {
			fmt.Fprintf(b, "\n### `%s`\n\n%s. %s\n", f.Name, strings.ToUpper(f.Type[:1])+f.Type[1:], f.Help)
			if len(f.Labels)+len(f.Buckets) > 0 {
				b.WriteString("\n")
			}
			for _, label := range slices.Sorted(maps.Keys(f.Labels)) {
				values := strings.Join(f.Labels[label], ", ")
				if label == "type" {
					values = "the names of the registered types, other"
				}
				fmt.Fprintf(b, "- `%s`: %s\n", label, values)
			}
			if len(f.Buckets) > 0 {
				fmt.Fprintf(b, "- classic buckets up to %s; native schema %d\n", strings.Trim(fmt.Sprint(f.Buckets), "[]"), f.Native)
			}
		}
	}
	return b.String()
}
