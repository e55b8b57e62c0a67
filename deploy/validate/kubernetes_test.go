package validate

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/fx"
	"go.uber.org/zap"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/pktsvc/pktsvc/pkg/server"
	"github.com/pktsvc/pktsvc/pkg/server/storage"
)

// manifests is everything that `kubectl apply -k deploy/kubernetes` applies.
type manifests struct {
	accounts    []*corev1.ServiceAccount
	configs     []*corev1.ConfigMap
	deployments []*appsv1.Deployment
	services    []*corev1.Service
	budgets     []*policyv1.PodDisruptionBudget
	policies    []*networkingv1.NetworkPolicy
	monitors    []*monitoringv1.PodMonitor
	rules       []*monitoringv1.PrometheusRule
}

// build runs kustomize, and reads each object into its type. An unknown field is an
// error, as it would be ignored in a cluster.
func build(t *testing.T) *manifests {
	t.Helper()
	objects, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(root, "deploy/kubernetes"))
	if err != nil {
		t.Fatal(err)
	}
	m := new(manifests)
	for _, object := range objects.Resources() {
		text, err := object.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		kind := object.GetKind()
		switch kind {
		case "ServiceAccount":
			m.accounts = append(m.accounts, decode[corev1.ServiceAccount](t, text))
		case "ConfigMap":
			m.configs = append(m.configs, decode[corev1.ConfigMap](t, text))
		case "Deployment":
			m.deployments = append(m.deployments, decode[appsv1.Deployment](t, text))
		case "Service":
			m.services = append(m.services, decode[corev1.Service](t, text))
		case "PodDisruptionBudget":
			m.budgets = append(m.budgets, decode[policyv1.PodDisruptionBudget](t, text))
		case "NetworkPolicy":
			m.policies = append(m.policies, decode[networkingv1.NetworkPolicy](t, text))
		case "PodMonitor":
			m.monitors = append(m.monitors, decode[monitoringv1.PodMonitor](t, text))
		case "PrometheusRule":
			m.rules = append(m.rules, decode[monitoringv1.PrometheusRule](t, text))
		default:
			t.Errorf("no test knows the kind %s", kind)
		}
	}
	if len(m.accounts) != 1 || len(m.configs) != 1 || len(m.deployments) != 1 || len(m.services) != 2 ||
		len(m.budgets) != 1 || len(m.policies) != 1 || len(m.monitors) != 1 || len(m.rules) != 1 {
		t.Fatalf("want one object of each kind, and two services; have %d objects", objects.Size())
	}
	return m
}

func decode[T any](t *testing.T, text []byte) *T {
	t.Helper()
	object := new(T)
	if err := yaml.UnmarshalStrict(text, object); err != nil {
		t.Fatalf("%T: %v", object, err)
	}
	return object
}

func (m *manifests) pod() *corev1.PodTemplateSpec { return &m.deployments[0].Spec.Template }

func (m *manifests) container() *corev1.Container { return &m.pod().Spec.Containers[0] }

// settings are those that the container's file and environment make.
func (m *manifests) settings(t *testing.T) server.Config {
	t.Helper()
	environ := make(map[string]string)
	for _, variable := range m.container().Env {
		environ[variable.Name] = variable.Value
	}
	return settings(t, environ, filepath.Join(root, "deploy/kubernetes/pktsvc.yaml"))
}

func (m *manifests) port(t *testing.T, name string) int {
	t.Helper()
	i := slices.IndexFunc(m.container().Ports, func(p corev1.ContainerPort) bool { return p.Name == name })
	if i < 0 {
		t.Fatalf("the container has no port %q", name)
	}
	return int(m.container().Ports[i].ContainerPort)
}

// The strictest of Kubernetes' own standards, as its admission controller checks it.
func TestPodIsRestricted(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	pod := build(t).pod()
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for _, result := range evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec) {
		if !result.Allowed {
			t.Errorf("%s: %s", result.ForbiddenReason, result.ForbiddenDetail)
		}
	}
}

func TestPodAgreesWithTheProgram(t *testing.T) {
	m := build(t)
	c, cfg := m.container(), m.settings(t)
	packets, admin := ports(t, cfg)
	if got := m.port(t, "packets"); got != packets {
		t.Errorf("port packets is %d, the program listens on %d", got, packets)
	}
	if got := m.port(t, "admin"); got != admin {
		t.Errorf("port admin is %d, the program listens on %d", got, admin)
	}
	grace := time.Duration(*m.pod().Spec.TerminationGracePeriodSeconds) * time.Second
	checkStopTime(t, cfg, grace-time.Duration(c.Lifecycle.PreStop.Sleep.Seconds)*time.Second)

	memory := c.Resources.Limits.Memory()
	if request := c.Resources.Requests.Memory(); request.Cmp(*memory) != 0 {
		t.Errorf("memory requested %s, limit %s: in between the pod lives on what others leave", request, memory)
	}
	if c.Resources.Requests.Cpu().IsZero() {
		t.Error("no CPU is requested")
	}
	i := slices.IndexFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == "GOMEMLIMIT" })
	if i < 0 {
		t.Fatal("GOMEMLIMIT is not set")
	}
	checkMemory(t, c.Env[i].Value, memory.Value())

	// The file that the program is told to read is the one that is mounted.
	volume, mount := m.pod().Spec.Volumes[0], c.VolumeMounts[0]
	if volume.Name != mount.Name || volume.ConfigMap.Name != m.configs[0].Name ||
		!slices.Equal(c.Args, []string{"serve", "--config", mount.MountPath + "/pktsvc.yaml"}) || m.configs[0].Data["pktsvc.yaml"] == "" {
		t.Errorf("%v does not read the mounted configuration", c.Args)
	}
	// Several pods have to have one store.
	if s := cfg.Services[0].(*storage.Settings); *m.deployments[0].Spec.Replicas > 1 && !strings.HasPrefix(s.Backend, "s3:") {
		t.Errorf("every pod has a store of its own: %s", s.Backend)
	}
	if m.pod().Spec.ServiceAccountName != m.accounts[0].Name || *m.pod().Spec.AutomountServiceAccountToken || *m.accounts[0].AutomountServiceAccountToken {
		t.Error("want the service account, without its token")
	}
}

// Every path that is probed or scraped is asked of a running server.
func TestAdminPathsExist(t *testing.T) {
	m := build(t)
	cfg := server.Default()
	cfg.Listen, cfg.Admin = []string{"tcp://127.0.0.1:0"}, "127.0.0.1:0"
	var admin *server.AdminServer
	app := server.New(cfg, fx.Decorate(func(*zap.Logger) *zap.Logger { return zap.NewNop() }), fx.Populate(&admin))
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := app.Stop(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	c := m.container()
	for name, probe := range map[string]*corev1.Probe{"/startupz": c.StartupProbe, "/livez": c.LivenessProbe, "/readyz": c.ReadinessProbe} {
		if probe.HTTPGet.Path != name || probe.HTTPGet.Port.String() != "admin" {
			t.Errorf("probe of %s at port %s, want %s at admin", probe.HTTPGet.Path, &probe.HTTPGet.Port, name)
		}
		checkPage(t, admin.URL()+probe.HTTPGet.Path)
	}
	for _, endpoint := range m.monitors[0].Spec.PodMetricsEndpoints {
		if endpoint.Port == nil || *endpoint.Port != "admin" {
			t.Error("scrapes another port than admin")
		}
		checkPage(t, admin.URL()+endpoint.Path)
	}
}

func checkPage(t *testing.T, url string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("%s answers %s", url, resp.Status)
	}
}

// Everything that selects pods selects those of the Deployment.
func TestSelectorsMatch(t *testing.T) {
	m := build(t)
	selectors := map[string]*metav1.LabelSelector{
		"Deployment":          m.deployments[0].Spec.Selector,
		"PodDisruptionBudget": m.budgets[0].Spec.Selector,
		"NetworkPolicy":       &m.policies[0].Spec.PodSelector,
		"PodMonitor":          &m.monitors[0].Spec.Selector,
	}
	for _, s := range m.services {
		selectors["Service "+s.Name] = &metav1.LabelSelector{MatchLabels: s.Spec.Selector}
	}
	for _, constraint := range m.pod().Spec.TopologySpreadConstraints {
		selectors["spread over "+constraint.TopologyKey] = constraint.LabelSelector
	}
	for who, s := range selectors {
		selector, err := metav1.LabelSelectorAsSelector(s)
		if err != nil {
			t.Fatal(err)
		}
		if selector.Empty() || !selector.Matches(labels.Set(m.pod().Labels)) {
			t.Errorf("%s selects %q, the pods are %v", who, selector, m.pod().Labels)
		}
	}
	if job := m.pod().Labels[m.monitors[0].Spec.JobLabel]; job != "pktsvc" {
		t.Errorf("job is %q, rules and dashboards want pktsvc", job)
	}
}

func TestServicesLeadToPackets(t *testing.T) {
	m := build(t)
	headless := 0
	for _, s := range m.services {
		if s.Spec.ClusterIP == corev1.ClusterIPNone {
			headless++
		}
		for _, port := range s.Spec.Ports {
			if port.TargetPort.String() != "packets" || int(port.Port) != m.port(t, "packets") {
				t.Errorf("service %s leads port %d to %s, want the port of packets alone", s.Name, port.Port, &port.TargetPort)
			}
		}
	}
	if headless != 1 {
		t.Errorf("%d headless services, want 1", headless)
	}
}

// The admin port is open to no more than one namespace.
func TestAdminPortIsGuarded(t *testing.T) {
	p := build(t).policies[0]
	if !slices.Equal(p.Spec.PolicyTypes, []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}) {
		t.Fatalf("policy types %v", p.Spec.PolicyTypes)
	}
	open := make(map[string]bool)
	for _, rule := range p.Spec.Ingress {
		if len(rule.Ports) == 0 {
			t.Error("a rule opens all ports")
		}
		for _, port := range rule.Ports {
			open[port.Port.String()] = true
			if port.Port.String() == "packets" {
				continue
			}
			for _, from := range rule.From {
				if from.NamespaceSelector == nil || len(from.NamespaceSelector.MatchLabels) == 0 {
					t.Error("the admin port is open to every namespace")
				}
			}
			if len(rule.From) == 0 {
				t.Error("the admin port is open to everybody")
			}
		}
	}
	if !open["packets"] || !open["admin"] || len(open) != 2 {
		t.Errorf("open are %v, want packets and admin", open)
	}
}

// Native histograms alone would leave panels and rules on the classic ones empty.
func TestMonitorScrapesBothHistograms(t *testing.T) {
	spec := build(t).monitors[0].Spec
	if spec.ScrapeNativeHistograms == nil || !*spec.ScrapeNativeHistograms || spec.ScrapeClassicHistograms == nil || !*spec.ScrapeClassicHistograms {
		t.Error("want native and classic histograms")
	}
}
