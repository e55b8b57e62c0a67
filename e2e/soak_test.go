package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

const (
	soakVariable       = "PKTSVC_SOAK"        // how long; else soakShort
	soakReportVariable = "PKTSVC_SOAK_REPORT" // folder for soak.md and soak.svg; else a temporary one
	soakShort          = 12 * time.Second
	soakSamples        = 60
)

// A service under mixed load for long: what it holds does not grow, and when the load
// is over it holds what it held before.
func TestSoak(t *testing.T) {
	s := serve(t, soaked(program{}))
	report := s.soak(t, soakLength(t))
	for _, problem := range report.problems() {
		t.Error(problem)
	}
	report.write(t)
	t.Logf("guarantee: TestSoak %v, %s", report.length, report.load.summary())
}

// The soak sees what grows: a service that forgets a goroutine, a descriptor and
// some memory now and then.
func TestSoakSeesLeaks(t *testing.T) {
	s := serve(t, soaked(embedding(t, leaks)))
	problems := strings.Join(s.soak(t, soakShort/2).problems(), "\n")
	for _, grown := range []string{"heap", "goroutines", "descriptors"} {
		if !strings.Contains(problems, grown) {
			t.Errorf("it does not see that %s leak:\n%s", grown, problems)
		}
	}
}

func soakLength(t *testing.T) time.Duration {
	text := os.Getenv(soakVariable)
	if text == "" {
		return soakShort
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s: %v", soakVariable, err)
	}
	return d
}

// soaked has its heap profile tell of small things, too.
func soaked(p program) program {
	p.env = append(p.env, "GODEBUG=memprofilerate=4096")
	return p
}

// sample is what a service holds at one time, after a garbage collection.
type sample struct {
	at     time.Duration
	values [len(soakSeries)]float64
}

// soakSeries are what must not grow. Under load they may differ by what a moment's
// load makes of them (noise), and when it is over by little from what they were
// before (rest).
var soakSeries = [...]struct {
	name, metric string // metric "": from the heap profile
	unit         float64
	noise, rest  float64
}{
	{"heap (MiB)", "go_memstats_heap_alloc_bytes", 1 << 20, 10, 4},
	{"buffers of packets (MiB)", "", 1 << 20, 10, 0.5},
	{"goroutines", "go_goroutines", 1, 60, 5},
	{"descriptors", "process_open_fds", 1, 15, 5},
	{"connections", "pktsvc_connections_open", 1, 15, 0},
	{"memory of peers (MiB)", "pktsvc_server_memory_used_bytes", 1 << 20, 10, 0},
}

// look takes a sample.
func (s *service) look(t *testing.T, since time.Time) sample {
	t.Helper()
	heap, err := get(s.url("/debug/pprof/heap?gc=1"))
	if err != nil {
		t.Fatal(err)
	}
	page, err := get(s.url("/metrics"))
	if err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	taken := sample{at: time.Since(since)}
	for i, series := range soakSeries {
		value := 0.0
		if series.metric == "" {
			value = bufferBytes(t, heap)
		} else if family := families[series.metric]; family == nil {
			t.Fatalf("there is no %s", series.metric)
		} else {
			for _, m := range family.Metric {
				value += m.GetGauge().GetValue()
			}
		}
		taken.values[i] = value / series.unit
	}
	return taken
}

// bufferBytes is what the engine's buffers take, by the heap profile.
func bufferBytes(t *testing.T, heap []byte) (sum float64) {
	t.Helper()
	p, err := profile.ParseData(heap)
	if err != nil {
		t.Fatal(err)
	}
	in := slices.IndexFunc(p.SampleType, func(v *profile.ValueType) bool { return v.Type == "inuse_space" })
	for _, s := range p.Sample {
		if slices.ContainsFunc(s.Location, func(l *profile.Location) bool {
			return slices.ContainsFunc(l.Line, func(line profile.Line) bool {
				return strings.Contains(line.Function.Name, "pkg/stream.newBuffer") || strings.Contains(line.Function.Name, "pkg/stream.(*buffer).grow")
			})
		}) {
			sum += float64(s.Value[in])
		}
	}
	return sum
}

// soakReport is what a soak has seen.
type soakReport struct {
	length        time.Duration
	before, after sample
	samples       []sample
	load          *mixedLoad
}

// soak puts the service under mixed load.
func (s *service) soak(t *testing.T, length time.Duration) *soakReport {
	t.Helper()
	start := time.Now()
	r := &soakReport{length: length, before: s.look(t, start), load: startMixedLoad(t, s)}
	tick := time.Tick(length / soakSamples)
	for range soakSamples {
		<-tick
		r.samples = append(r.samples, s.look(t, start))
	}
	r.load.stop(t)
	// Pools are emptied by the second collection after their last use.
	eventually(t, 20*time.Second, "all connections are gone", func() error {
		if r.after = s.look(t, start); r.after.values[4] > 0 {
			return fmt.Errorf("%.0f are open", r.after.values[4])
		}
		return nil
	})
	s.look(t, start)
	r.after = s.look(t, start)
	return r
}

// problems compares the middle third of the samples with the last one, by their
// medians, and the end with the beginning.
func (r *soakReport) problems() (list []string) {
	third := len(r.samples) / 3
	for i, series := range soakSeries {
		middle, last := medianOf(r.samples[third:2*third], i), medianOf(r.samples[2*third:], i)
		if last > 1.2*middle+series.noise {
			list = append(list, fmt.Sprintf("%s: grew from %.1f to %.1f", series.name, middle, last))
		}
		if before, after := r.before.values[i], r.after.values[i]; after > before+series.rest {
			list = append(list, fmt.Sprintf("%s: %.1f before the load, %.1f after it", series.name, before, after))
		}
	}
	return append(list, r.load.problems()...)
}

func medianOf(samples []sample, i int) float64 {
	values := make([]float64, len(samples))
	for k, s := range samples {
		values[k] = s.values[i]
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// write writes the report, in Markdown, with a plot.
func (r *soakReport) write(t *testing.T) {
	t.Helper()
	dir := os.Getenv(soakReportVariable)
	if dir == "" {
		dir = t.TempDir()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Soak\n\n%s, %v of mixed load: %s.\n\n", time.Now().UTC().Format(time.DateOnly), r.length, r.load.summary())
	b.WriteString("What the service holds, sampled after a garbage collection: before the load, the medians of the\nsecond and the last third, and when the load is over.\n\n")
	b.WriteString("| | before | second third | last third | after |\n| --- | ---: | ---: | ---: | ---: |\n")
	third := len(r.samples) / 3
	for i, series := range soakSeries {
		fmt.Fprintf(&b, "| %s | %.1f | %.1f | %.1f | %.1f |\n", series.name, r.before.values[i],
			medianOf(r.samples[third:2*third], i), medianOf(r.samples[2*third:], i), r.after.values[i])
	}
	b.WriteString("\n![heap, goroutines and descriptors over time](soak.svg)\n\n" + r.load.table())
	if err := os.WriteFile(filepath.Join(dir, "soak.md"), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	r.plot(t, filepath.Join(dir, "soak.svg"))
}
