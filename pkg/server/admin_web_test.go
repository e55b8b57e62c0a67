package server_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/pktsvc/pktsvc/pkg/server"
)

// bcrypt of "secret"
const hashed = "$2a$04$EyvX5HTsjyaXgDzk3nL2n.NETixyzIzb2tVVcTaqUZJM9lciCYICm"

func webConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "web.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// With a web configuration every admin page is behind TLS and a user.
func TestAdminWebConfig(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.issue(t, "admin", forLoopback)
	path := webConfig(t, fmt.Sprintf("tls_server_config: {cert_file: %s, key_file: %s, min_version: TLS13}\nbasic_auth_users: {ops: %s}\n", cert, key, hashed))
	r := start(t, func(c *server.Config) { c.AdminWebConfig = path })
	if !strings.HasPrefix(r.admin.URL(), "https://") {
		t.Errorf("the URL is %s", r.admin.URL())
	}
	config, err := server.ClientTLS{CA: a.file}.Config()
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
	defer client.CloseIdleConnections()
	for password, want := range map[string]int{"": 401, "wrong": 401, "secret": 200} {
		for _, page := range []string{"/metrics", "/readyz", "/config", "/debug/pprof/cmdline"} {
			req, err := http.NewRequest(http.MethodGet, r.admin.URL()+page, nil)
			if err != nil {
				t.Fatal(err)
			}
			if password != "" {
				req.SetBasicAuth("ops", password)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != want || strings.Contains(string(body), hashed) {
				t.Errorf("%s with %q: %s", page, password, resp.Status)
			}
		}
	}
	if resp, err := http.Get("http://" + r.admin.Address() + "/metrics"); err == nil {
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("in the clear: %s", resp.Status)
		}
	}
	if strings.Contains(fmt.Sprint(r.logs.All()), hashed) {
		t.Error("the hash is logged")
	}
}

// What is wrong with a web configuration is said at the start.
func TestAdminWebConfigErrors(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":     {"users: {}", "users"},
		"no certificate":  {"tls_server_config: {cert_file: /nowhere, key_file: /nowhere}", "/nowhere"},
		"no hash":         {"basic_auth_users: {ops: secret}", "admin_web_config"},
		"token and users": {"basic_auth_users: {ops: " + hashed + "}", "exclude each other"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := server.Default()
			cfg.Listen, cfg.Admin = []string{"tcp://127.0.0.1:0"}, "127.0.0.1:0"
			cfg.AdminWebConfig, cfg.AdminToken = webConfig(t, c.text), "token"
			app := server.New(cfg, fx.Decorate(func(*zap.Logger) *zap.Logger { return zap.NewNop() }))
			if err := app.Start(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want %s", err, c.want)
			}
		})
	}
}
