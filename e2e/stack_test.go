package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"go.yaml.in/yaml/v3"
)

// Where the parts are, beside this module.
const (
	components = "bin"
	rulesDir   = "../dashboards/prometheus"
	dashboards = "../dashboards/*.json"
)

// pktsvc is the program, and relaying the example of a service in the middle, both built
// once for all tests.
var pktsvc, relaying string

func TestMain(m *testing.M) {
	if os.Getenv(embeddedVariable) != "" {
		embedded()
		return
	}
	for _, name := range []string{"prometheus", "promtool", "jaeger", "rclone", "versitygw"} {
		if _, err := os.Stat(filepath.Join(components, name)); err != nil {
			fmt.Fprintf(os.Stderr, "%v: build it with e2e/components/install\n", err)
			os.Exit(1)
		}
	}
	dir, err := os.MkdirTemp("", "pktsvc-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	pktsvc, relaying = filepath.Join(dir, "pktsvc"), filepath.Join(dir, "relay")
	build := exec.Command("go", "build", "-o", dir+"/", "./cmd/pktsvc", "./examples/relay")
	build.Dir, build.Stdout, build.Stderr = "..", os.Stdout, os.Stderr
	code := 1
	if err := build.Run(); err == nil {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// service is a running pktsvc serve, or a program that embeds the server.
type service struct {
	*process
	addr, admin string // HOST:PORT
}

// url is one of the admin server.
func (s *service) url(path string) string { return "http://" + s.admin + path }

// serve starts a service and waits until it is ready.
func serve(t *testing.T, p program, flags ...string) *service {
	t.Helper()
	s := begin(t, p, address(t), address(t), flags...)
	s.ready(t, s.url("/readyz"))
	return s
}

// begin starts a service at given addresses.
func begin(t *testing.T, p program, addr, admin string, flags ...string) *service {
	t.Helper()
	if p.path == "" {
		p.path = pktsvc
		if !slices.Contains(flags, "--service") {
			flags = append([]string{"--service", "diag"}, flags...)
		}
	}
	p.name = "serve"
	p.args = append([]string{"serve", "--listen", "tcp://" + addr, "--admin", admin}, flags...)
	return &service{run(t, p), addr, admin}
}

// relay starts a service in the middle, which asks the one at addr, and waits until it is
// ready.
func relay(t *testing.T, addr string, env []string) *service {
	t.Helper()
	s := &service{addr: address(t), admin: address(t)}
	s.process = run(t, program{name: "relay", path: relaying, args: []string{addr}, env: append([]string{
		"PKTSVC_LISTEN=tcp://" + s.addr, "PKTSVC_ADMIN=" + s.admin,
	}, env...)})
	s.ready(t, s.url("/readyz"))
	return s
}

var scrapesDone = regexp.MustCompile(`(?m)^promhttp_metric_handler_requests_total\{code="200"\} (\d+)$`)

// scraped waits until somebody else has read the metrics a few times.
func (s *service) scraped(t *testing.T, times int) {
	t.Helper()
	own := 0 // what this has asked for is counted after the answer, so with the next
	eventually(t, time.Minute, "the service has been scraped", func() error {
		page, err := get(s.url("/metrics"))
		if err != nil {
			return err
		}
		match := scrapesDone.FindSubmatch(page)
		if match == nil {
			return fmt.Errorf("no line like %v", scrapesDone)
		}
		done, err := strconv.Atoi(string(match[1]))
		if err != nil {
			return err
		}
		if others := done - own; others < times {
			own++
			return fmt.Errorf("%d times", others)
		}
		return nil
	})
}

// load is a running pktsvc bench.
type load struct {
	*process
	admin string
}

// bench puts a service under load, for at most as long as the tests may take.
func (s *service) bench(t *testing.T, env []string, flags ...string) *load {
	t.Helper()
	l := &load{admin: address(t)}
	args := append([]string{"bench", "--addr", s.addr, "--admin", l.admin, "--duration", "30m"}, flags...)
	l.process = run(t, program{name: "bench", path: pktsvc, args: args, env: env})
	l.ready(t, "http://"+l.admin+"/readyz")
	return l
}

// jaeger is a running trace backend.
type jaeger struct {
	*process
	query, otlp string // HOST:PORT
}

var jaegerConfig = template.Must(template.New("jaeger").Parse(`
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces: {receivers: [otlp], processors: [batch], exporters: [jaeger_storage_exporter]}
  telemetry:
    metrics: {level: none}
    logs: {level: warn}
extensions:
  jaeger_storage: {backends: {memory: {memory: {max_traces: 100000}}}}
  jaeger_query:
    storage: {traces: memory}
    http: {endpoint: "{{.query}}"}
    grpc: {endpoint: "{{.grpc}}"}
receivers: {otlp: {protocols: {http: {endpoint: "{{.otlp}}"}}}}
processors: {batch: {timeout: 100ms}}
exporters: {jaeger_storage_exporter: {trace_storage: memory}}
`))

func startJaeger(t *testing.T) *jaeger {
	t.Helper()
	j := &jaeger{query: address(t), otlp: address(t)}
	var config strings.Builder
	if err := jaegerConfig.Execute(&config, map[string]string{"query": j.query, "otlp": j.otlp, "grpc": address(t)}); err != nil {
		t.Fatal(err)
	}
	path := write(t, "jaeger.yaml", config.String())
	j.process = run(t, program{name: "jaeger", path: component(t, "jaeger"), args: []string{"--config", path}})
	j.ready(t, "http://"+j.query+"/api/services")
	return j
}

// environment has a program send its traces there, every one of them.
func (j *jaeger) environment() []string {
	return []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + j.otlp, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
		"OTEL_TRACES_SAMPLER=always_on", "OTEL_BSP_SCHEDULE_DELAY=200",
	}
}

// environmentUnsampled is the same, but no request is sampled when it begins: only those
// that turn out to be notable are seen.
func (j *jaeger) environmentUnsampled() []string {
	return append(j.environment(), "OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0")
}

// prometheus is a running Prometheus.
type prometheus struct {
	*process
	v1.API
	url string
}

// startPrometheus starts one with the configuration that users get, except that
// the targets are those of the test, by job, and that it scrapes and evaluates
// once a second, by the rule files given.
func startPrometheus(t *testing.T, targets map[string][]string, rules ...string) *prometheus {
	t.Helper()
	var config map[string]any
	read(t, filepath.Join(rulesDir, "prometheus.yml"), &config)
	config["global"] = map[string]any{"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
	config["rule_files"] = rules
	// All jobs are scraped as that of the service is.
	scrape := config["scrape_configs"].([]any)[0].(map[string]any)
	delete(scrape, "scrape_interval")
	var jobs []any
	for job, addresses := range targets {
		one := make(map[string]any)
		for key, value := range scrape {
			one[key] = value
		}
		one["job_name"] = job
		one["static_configs"] = []any{map[string]any{"targets": addresses}}
		jobs = append(jobs, one)
	}
	config["scrape_configs"] = jobs
	text, err := yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	path := write(t, "prometheus.yml", string(text))
	at := address(t)
	p := &prometheus{url: "http://" + at}
	p.process = run(t, program{name: "prometheus", path: component(t, "prometheus"), args: []string{
		"--config.file=" + path, "--storage.tsdb.path=" + t.TempDir(), "--web.listen-address=" + at,
		"--enable-feature=exemplar-storage", "--log.level=warn",
	}})
	p.ready(t, p.url+"/-/ready")
	c, err := api.NewClient(api.Config{Address: p.url, Client: client})
	if err != nil {
		t.Fatal(err)
	}
	p.API = v1.NewAPI(c)
	return p
}

// scraped waits until every target has been scraped a few times, so that rates
// have something to stand on.
func (p *prometheus) scraped(t *testing.T, times int) {
	t.Helper()
	query := fmt.Sprintf("min(count_over_time(up[5m])) >= %d and min(up) == 1", times)
	eventually(t, time.Minute, "all targets have been scraped", func() error {
		_, err := p.data(t.Context(), query)
		return err
	})
}

func component(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(components, name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// write makes a file that ends with the test.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// read decodes a YAML file.
func read(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = yaml.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// rule is the path of one of the rule files that users get.
func rule(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(rulesDir, name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// promtool runs it and fails with what it says.
func promtool(t *testing.T, stdin []byte, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, component(t, "promtool"), args...)
	cmd.Stdin = strings.NewReader(string(stdin))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
