package validate

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write deploy/kubernetes/prometheusrule.yaml from the rules of Prometheus")

// The rules of the cluster are those of dashboards/prometheus, which have the tests.
func TestPrometheusRuleIsCurrent(t *testing.T) {
	rule := monitoringv1.PrometheusRule{
		TypeMeta:   metav1.TypeMeta{APIVersion: monitoringv1.SchemeGroupVersion.String(), Kind: monitoringv1.PrometheusRuleKind},
		ObjectMeta: metav1.ObjectMeta{Name: "pktsvc"},
	}
	for _, name := range []string{"recording.rules.yaml", "alerts.rules.yaml"} {
		file := decode[monitoringv1.PrometheusRuleSpec](t, readFile(t, "dashboards/prometheus/"+name))
		if len(file.Groups) == 0 {
			t.Fatalf("%s has no groups", name)
		}
		rule.Spec.Groups = append(rule.Spec.Groups, file.Groups...)
	}
	text, err := yaml.Marshal(rule)
	if err != nil {
		t.Fatal(err)
	}
	text = append([]byte("# Made from dashboards/prometheus by: go -C deploy/validate test -run PrometheusRule -update\n"), text...)
	path := filepath.Join(root, "deploy/kubernetes/prometheusrule.yaml")
	if *update {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(readFile(t, "deploy/kubernetes/prometheusrule.yaml"), text) {
		t.Error("prometheusrule.yaml is not current: go -C deploy/validate test -run PrometheusRule -update")
	}
}
