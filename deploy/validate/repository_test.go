package validate

import (
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docker/go-units"

	"github.com/pktsvc/pktsvc/pkg/server"
	"github.com/pktsvc/pktsvc/pkg/server/storage"
)

const root = "../.."

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// settings are the server's with this environment, and the file if one is named.
func settings(t *testing.T, environ map[string]string, file string) server.Config {
	t.Helper()
	var list []string
	for name, value := range environ {
		list = append(list, name+"="+value)
	}
	cfg, err := server.Load(server.Source{Environ: func() []string { return list }, File: file, Services: []server.Settings{new(storage.Settings)}})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// ports of packets and admin pages. Both have to be reachable from outside the
// container or pod.
func ports(t *testing.T, cfg server.Config) (packets, admin int) {
	t.Helper()
	if len(cfg.Listen) != 1 {
		t.Fatalf("listens on %v, want one address", cfg.Listen)
	}
	listen, err := url.Parse(cfg.Listen[0])
	if err != nil {
		t.Fatal(err)
	}
	return openPort(t, listen.Host), openPort(t, cfg.Admin)
}

// openPort is the port of HOST:PORT, which has to stand for all interfaces.
func openPort(t *testing.T, address string) int {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	if ip := net.ParseIP(host); host != "" && !ip.IsUnspecified() {
		t.Errorf("%s cannot be reached from outside the container", address)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// checkStopTime: whoever stops the service has to wait for an orderly end.
func checkStopTime(t *testing.T, cfg server.Config, grace time.Duration) {
	t.Helper()
	if need := cfg.StopTimeout(); grace < need+time.Second {
		t.Errorf("%v to stop, but the drain may take %v: want a second more than that", grace, need)
	}
}

// checkMemory: GOMEMLIMIT leaves room below the limit for what is not Go's heap.
func checkMemory(t *testing.T, goMemLimit string, limit int64) {
	t.Helper()
	if goMemLimit == "" {
		t.Error("GOMEMLIMIT is not set")
		return
	}
	soft, err := units.RAMInBytes(strings.TrimSuffix(goMemLimit, "iB") + "b")
	if err != nil {
		t.Fatalf("GOMEMLIMIT: %v", err)
	}
	if share := float64(soft) / float64(limit); share < 0.75 || share > 0.9 {
		t.Errorf("GOMEMLIMIT is %s, %.0f %% of the memory limit; want 75 to 90 %%", goMemLimit, 100*share)
	}
}
