package validate

import (
	"context"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"sigs.k8s.io/yaml"

	"github.com/pktsvc/pktsvc/pkg/server"
)

// compose loads docker-compose.yml as `docker compose` does in a clean environment,
// with .env and these profiles.
func compose(t *testing.T, profiles ...string) *types.Project {
	t.Helper()
	directory, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	options, err := cli.NewProjectOptions([]string{filepath.Join(directory, "docker-compose.yml")},
		cli.WithWorkingDirectory(directory), cli.WithEnvFiles(), cli.WithDotEnv,
		cli.WithDefaultProfiles(profiles...))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// everything is the project with all its services.
func everything(t *testing.T) *types.Project { return compose(t, "*") }

func TestComposeStartsWithLoad(t *testing.T) {
	project := compose(t)
	for _, name := range []string{"pktsvc", "bench", "prometheus", "jaeger", "grafana"} {
		if _, ok := project.Services[name]; !ok {
			t.Errorf("docker compose up does not start %s", name)
		}
	}
	for name, service := range project.Services {
		if slices.Contains(service.Profiles, "fault") {
			t.Errorf("docker compose up starts the fault %s", name)
		}
	}
}

func TestComposeContainsServices(t *testing.T) {
	project := everything(t)
	built := project.Services["pktsvc"].Image
	for name, s := range project.Services {
		t.Run(name, func(t *testing.T) {
			if _, tag, ok := strings.Cut(s.Image, ":"); s.Image != built && (!ok || !strings.ContainsAny(tag, "0123456789")) {
				t.Errorf("image %q is not pinned to a version", s.Image)
			}
			if !s.ReadOnly || s.Privileged || !slices.Equal(s.CapDrop, []string{"ALL"}) || len(s.CapAdd) > 0 ||
				!slices.Equal(s.SecurityOpt, []string{"no-new-privileges:true"}) {
				t.Error("want read_only, cap_drop ALL, no-new-privileges, and nothing added")
			}
			if s.NetworkMode != "" || s.Pid != "" || s.Ipc != "" || s.User == "root" || s.User == "0" {
				t.Error("shares something with the host, or is root")
			}
			if s.HealthCheck == nil || s.HealthCheck.Disable || len(s.HealthCheck.Test) < 2 || s.HealthCheck.Test[0] != "CMD" {
				t.Error("want a health check that needs no shell")
			}
			if s.Deploy == nil || s.Deploy.Resources.Limits == nil {
				t.Fatal("no limits")
			}
			limits := s.Deploy.Resources.Limits
			if limits.NanoCPUs <= 0 || limits.MemoryBytes <= 0 || limits.Pids <= 0 {
				t.Errorf("limits %+v, want cpus, memory and pids", limits)
			}
			if s.Restart != types.RestartPolicyUnlessStopped {
				t.Errorf("restart %q", s.Restart)
			}
			if s.Logging == nil || s.Logging.Options["max-size"] == "" || s.Logging.Options["max-file"] == "" {
				t.Error("logs are not rotated")
			}
			for _, port := range s.Ports {
				if port.HostIP != "127.0.0.1" {
					t.Errorf("port %s is published on %q, want 127.0.0.1", port.Published, port.HostIP)
				}
			}
			for _, volume := range s.Volumes {
				checkVolume(t, project, volume)
			}
			for other, dependency := range s.DependsOn {
				if dependency.Condition != types.ServiceConditionHealthy {
					t.Errorf("waits for %s to be %s, want healthy", other, dependency.Condition)
				}
			}
		})
	}
}

func checkVolume(t *testing.T, project *types.Project, volume types.ServiceVolumeConfig) {
	t.Helper()
	if volume.Type != types.VolumeTypeBind {
		if _, ok := project.Volumes[volume.Source]; !ok {
			t.Errorf("volume %q has no name", volume.Source)
		}
		return
	}
	if !volume.ReadOnly {
		t.Errorf("%s can be written by the container", volume.Source)
	}
	if _, err := os.Stat(volume.Source); err != nil {
		t.Error(err) // an engine would make an empty directory of it
	}
}

func TestComposeNumbersAgree(t *testing.T) {
	project := everything(t)
	s := project.Services["pktsvc"]
	environ := environment(s)
	environ["PKTSVC_LISTEN"] = "tcp://:7450" // set by the image, see TestDockerfileImage
	cfg := settings(t, environ, "")
	packets, admin := ports(t, cfg)
	var targets []int
	for _, port := range s.Ports {
		targets = append(targets, int(port.Target))
	}
	if !slices.Equal(targets, []int{packets, admin}) {
		t.Errorf("publishes %v, listens on %d and %d", targets, packets, admin)
	}
	if !slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool { return v.Target == "/data" }) { // where the image keeps blocks
		t.Error("blocks are lost with the container")
	}
	if s.StopGracePeriod == nil {
		t.Fatal("no stop_grace_period: Docker ends the service after 10 s")
	}
	checkStopTime(t, cfg, time.Duration(*s.StopGracePeriod))
	if files := s.Ulimits["nofile"]; files == nil || files.Soft < cfg.Limits.Connections*3/2 {
		t.Errorf("nofile %+v is too low for %d connections", files, cfg.Limits.Connections)
	}
	for name, s := range project.Services {
		if s.Image == project.Services["pktsvc"].Image {
			checkMemory(t, environment(s)["GOMEMLIMIT"], int64(s.Deploy.Resources.Limits.MemoryBytes))
			checkTarget(t, project, environment(s)["OTEL_EXPORTER_OTLP_ENDPOINT"], name)
		}
	}
}

func environment(s types.ServiceConfig) map[string]string {
	values := make(map[string]string)
	for name, value := range s.Environment {
		if value != nil {
			values[name] = *value
		}
	}
	return values
}

// adminPorts are those of every process of ours, by service.
func adminPorts(t *testing.T, project *types.Project) map[string]string {
	t.Helper()
	admin := map[string]string{"pktsvc": environment(project.Services["pktsvc"])["PKTSVC_ADMIN"]}
	for name, s := range project.Services {
		if i := slices.Index(s.Command, "--admin"); i >= 0 {
			admin[name] = s.Command[i+1]
		}
	}
	for name, address := range admin {
		admin[name] = strconv.Itoa(openPort(t, address))
	}
	return admin
}

// listening says on which ports each service can be reached by the others.
func listening(t *testing.T, project *types.Project) map[string][]string {
	t.Helper()
	open := map[string][]string{"prometheus": {"9090"}, "grafana": {"3000"}} // of the images
	_, port, err := net.SplitHostPort(server.DefaultListen[len("tcp://"):])
	if err != nil {
		t.Fatal(err)
	}
	open["pktsvc"] = []string{port}
	var jaeger struct {
		Receivers struct {
			OTLP struct {
				Protocols map[string]struct{ Endpoint string }
			}
		}
		Extensions struct {
			JaegerQuery struct {
				HTTP struct{ Endpoint string }
			} `json:"jaeger_query"`
		}
	}
	if err := yaml.Unmarshal(readFile(t, "deploy/containers/jaeger.yaml"), &jaeger); err != nil {
		t.Fatal(err)
	}
	endpoints := []string{jaeger.Extensions.JaegerQuery.HTTP.Endpoint}
	for _, protocol := range jaeger.Receivers.OTLP.Protocols {
		endpoints = append(endpoints, protocol.Endpoint)
	}
	for _, endpoint := range endpoints {
		if port, ok := strings.CutPrefix(endpoint, "0.0.0.0:"); ok {
			open["jaeger"] = append(open["jaeger"], port)
		}
	}
	return open
}

// checkTarget: the address is that of a service which listens there.
func checkTarget(t *testing.T, project *types.Project, address, who string) {
	t.Helper()
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		address = u.Host
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || !slices.Contains(listening(t, project)[host], port) {
		t.Errorf("%s asks %q, where no service listens", who, address)
	}
}

func TestComposeTargetsExist(t *testing.T) {
	project := everything(t)
	var prometheus struct {
		ScrapeConfigs []struct {
			StaticConfigs []struct{ Targets []string } `json:"static_configs"`
		} `json:"scrape_configs"`
	}
	if err := yaml.Unmarshal(readFile(t, "dashboards/prometheus/prometheus.yml"), &prometheus); err != nil {
		t.Fatal(err)
	}
	admin, scraped := adminPorts(t, project), make(map[string]bool)
	for _, job := range prometheus.ScrapeConfigs {
		for _, static := range job.StaticConfigs {
			for _, target := range static.Targets {
				name, port, _ := strings.Cut(target, ":")
				if port == "" || admin[name] != port {
					t.Errorf("prometheus.yml scrapes %q, which is no service's admin port", target)
				}
				scraped[name] = true
			}
		}
	}
	var sources struct {
		Datasources []struct{ Name, URL string }
	}
	provisioned, err := filepath.Glob(filepath.Join(root, "dashboards/provisioning/datasources/*.yaml"))
	if err != nil || len(provisioned) == 0 {
		t.Fatalf("no data sources: %v", err)
	}
	for _, path := range provisioned {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(text, &sources); err != nil {
			t.Fatal(err)
		}
		for _, source := range sources.Datasources {
			checkTarget(t, project, source.URL, "the data source "+source.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(project.Services)) {
		command := project.Services[name].Command
		if i := slices.Index(command, "--addr"); i >= 0 {
			checkTarget(t, project, command[i+1], name)
			if !scraped[name] && !slices.Contains(project.Services[name].Profiles, "fault") {
				t.Errorf("%s is not scraped: its side of the requests is on no panel", name)
			}
		}
	}
}

// Grafana gets every dashboard, where the provider and the home page look for them.
func TestComposeMountsDashboards(t *testing.T) {
	project := everything(t)
	grafana := project.Services["grafana"]
	var provisioning struct {
		Providers []struct{ Options struct{ Path string } }
	}
	if err := yaml.Unmarshal(readFile(t, "dashboards/provisioning/dashboards/dashboards.yaml"), &provisioning); err != nil {
		t.Fatal(err)
	}
	directory := provisioning.Providers[0].Options.Path
	mounted := make(map[string]bool)
	for _, volume := range grafana.Volumes {
		mounted[volume.Target] = true
	}
	dashboards, err := filepath.Glob(filepath.Join(root, "dashboards/*.json"))
	if err != nil || len(dashboards) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	for _, path := range dashboards {
		if target := directory + "/" + filepath.Base(path); !mounted[target] {
			t.Errorf("%s is not mounted", target)
		}
	}
	if home := environment(grafana)["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]; !mounted[home] {
		t.Errorf("the home page is %q, which is not mounted", home)
	}
	if !mounted["/etc/grafana/provisioning"] {
		t.Error("the provisioning is not mounted")
	}
}
