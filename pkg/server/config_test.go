package server_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/pktsvc/pktsvc/pkg/server"
)

// load loads a configuration from texts.
func load(t *testing.T, file string, environ, flags []string) (server.Config, error) {
	t.Helper()
	from := server.Source{Environ: func() []string { return environ }, Flags: pflag.NewFlagSet("serve", pflag.ContinueOnError)}
	if file != "" {
		from.File = filepath.Join(t.TempDir(), "pktsvc.yaml")
		if err := os.WriteFile(from.File, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server.Flags(from.Flags)
	if err := from.Flags.Parse(flags); err != nil {
		t.Fatal(err)
	}
	return server.Load(from)
}

func TestConfigPrecedence(t *testing.T) {
	tests := []struct {
		name   string
		file   string
		env    []string
		flags  []string
		change func(*server.Config) // of the default
	}{
		{name: "default", change: func(*server.Config) {}},
		{
			name: "file beats default", file: "limits: {max_packet: 5}\ndrain:\n  timeout: 1m\n",
			change: func(c *server.Config) { c.Limits.MaxPacket, c.Drain.Timeout = 5, time.Minute },
		},
		{
			name: "a key may be written whole", file: "limits.max_queued: 4\nlimits: {max_packet: 5}",
			change: func(c *server.Config) { c.Limits.MaxQueued, c.Limits.MaxPacket = 4, 5 },
		},
		{
			name: "environment beats file", file: "limits: {max_packet: 5, max_queued: 6}", env: []string{"PKTSVC_LIMITS_MAX_PACKET=7"},
			change: func(c *server.Config) { c.Limits.MaxPacket, c.Limits.MaxQueued = 7, 6 },
		},
		{
			name: "flag beats environment", file: "log: {packets: off}", env: []string{"PKTSVC_LOG_PACKETS=switchable", "PKTSVC_LOG_SLOW=3s"}, flags: []string{"--log-packets=on", "--log-slow=2s"},
			change: func(c *server.Config) { c.Log.Packets, c.Log.Slow = "on", 2*time.Second },
		},
		{
			name: "a flag left alone beats nothing", env: []string{"PKTSVC_ADMIN=127.0.0.1:1"},
			change: func(c *server.Config) { c.Admin = "127.0.0.1:1" },
		},
		{
			name: "lists replace lists", file: "listen: ['tcp://:1', 'tcp://:2']", env: []string{"PKTSVC_LISTEN=tcp://:3, unix:///s"},
			change: func(c *server.Config) { c.Listen = []string{"tcp://:3", "unix:///s"} },
		},
		{
			name: "a repeated flag is a list", env: []string{"PKTSVC_LISTEN=tcp://:3"}, flags: []string{"--listen", "tcp://:4", "--listen", "stdio:"},
			change: func(c *server.Config) { c.Listen = []string{"tcp://:4", "stdio:"} },
		},
		{
			name: "empty turns the admin server off", flags: []string{"--admin="},
			change: func(c *server.Config) { c.Admin = "" },
		},
		{
			name: "zero of a limit is its default", file: "limits: {max_handlers: 0}", env: []string{"PKTSVC_LOG_ACTIVITY=0"},
			change: func(c *server.Config) { c.Log.Activity = 0 },
		},
		{
			name: "what else a platform sets is left alone", env: []string{"PKTSVC_PORT=tcp://10.0.0.1:7450", "PKTSVC_SERVICE_HOST=10.0.0.1"},
			change: func(*server.Config) {},
		},
		{
			name: "empty sections are fine", file: "limits:\n#  max_packet: 3\ntracing:\n  enabled: off\n", // off is a text, not a boolean
			change: func(c *server.Config) { c.Tracing.Enabled = "off" },
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want := server.Default()
			test.change(&want)
			got, err := load(t, test.file, test.env, test.flags)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestConfigErrorsComeAllAtOnce(t *testing.T) {
	_, err := load(t, "limits: {max_packet: 1.5, max_pakcet: 3}\ndrain: {timeout: 25}\nlog: 7\nadmin: [a]\n",
		[]string{"PKTSVC_LIMITS_CONNECTIONS=-1", "PKTSVC_LOG_PACKETS=maybe", "PKTSVC_LISTEN=tcp://nowhere,udp://:1,tcp://:99999,unix://,stdio:,stdio:"},
		[]string{"--log-level=loud", "--tracing-enabled=perhaps", "--limits-max-age=-3s", "--drain-serve=1h", "--limits-without=ping,nothing"})
	if err == nil {
		t.Fatal("all that was accepted")
	}
	for _, want := range []string{
		`limits.max_packet is "1.5" (file `, `limits.max_pakcet is "3" (file `, `want a known key`,
		`drain.timeout is "25" (file `, `such as 500ms, 30s or 5m`, `log is "7" (file `, `admin is "[a]"`,
		`limits.connections is "-1" (environment PKTSVC_LIMITS_CONNECTIONS), want 1 or more, or 0 for the default`,
		`log.packets is "maybe" (environment PKTSVC_LOG_PACKETS), want off, switchable or on`,
		`listen is "tcp://nowhere"`, `listen is "udp://:1"`, `unknown scheme "udp"`, `listen is "tcp://:99999"`, `listen is "unix://"`,
		`listen is "stdio:" (environment PKTSVC_LISTEN), want every address once`,
		`log.level is "loud" (flag --log-level), want debug, info, warn or error`,
		`tracing.enabled is "perhaps" (flag --tracing-enabled), want auto, on or off`,
		`limits.max_age is "-3s" (flag --limits-max-age), want a time that is not negative`,
		`limits.without is "nothing"`, `want all, or the name of a feature: metadata,cancel,ping,`,
		`drain.serve is "1h0m0s" (flag --drain-serve), want at most drain.timeout, which is 25s`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q", want)
		}
	}
	if t.Failed() {
		t.Log(err)
	}
	if one := (*server.ConfigError)(nil); !errors.As(err, &one) {
		t.Errorf("the error has no %T", one)
	}
}

// Standard output cannot carry packets and spans at once.
func TestConfigStdioAndConsoleSpans(t *testing.T) {
	t.Setenv("OTEL_TRACES_EXPORTER", "console")
	_, err := load(t, "", nil, []string{"--listen=stdio:"})
	if wrong := (*server.ConfigError)(nil); !errors.As(err, &wrong) || wrong.Key != "listen" {
		t.Errorf("%v, want it refused", err)
	}
	if _, err := load(t, "", nil, []string{"--listen=stdio:", "--tracing-enabled=off"}); err != nil {
		t.Error(err)
	}
}

func TestConfigFileThatIsNone(t *testing.T) {
	for name, file := range map[string]string{"no YAML": "\t{", "a list": "- a\n- b\n", "the same twice": "admin: a\nadmin: b\n"} {
		if _, err := load(t, file, nil, nil); err == nil || !strings.Contains(err.Error(), "pktsvc.yaml") {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
	_, err := server.Load(server.Source{File: "/does/not/exist", Environ: func() []string { return nil }})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: the error is %v", err)
	}
}

// What is printed can be read again, and secrets are not in it.
func TestConfigPrints(t *testing.T) {
	cfg, err := load(t, "admin_token: hunter2\n", []string{"PKTSVC_LISTEN=unix://a b"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.AdminToken != "hunter2" {
		t.Fatalf("the token is %q", string(cfg.AdminToken))
	}
	text, err := cfg.YAML()
	if err != nil {
		t.Fatal(err)
	}
	inJSON, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{string(text), string(inJSON), fmt.Sprint(cfg), fmt.Sprintf("%+v %#v %s %q", cfg, cfg, cfg.AdminToken, cfg.AdminToken)} {
		if strings.Contains(form, "hunter2") || !strings.Contains(form, "********") {
			t.Errorf("not masked: %s", form)
		}
	}
	again, err := load(t, string(text), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	again.AdminToken = cfg.AdminToken
	if !reflect.DeepEqual(again, cfg) {
		t.Errorf("printed and read: %+v\nwant %+v", again, cfg)
	}
}

// The zero value is a working configuration.
func TestConfigZeroValue(t *testing.T) {
	var cfg server.Config
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
	d := server.Default()
	if got, want := cfg.StopTimeout(), d.StopTimeout(); got != want {
		t.Errorf("stop timeout %v, want %v", got, want)
	}
	if sum := d.Drain.Delay + d.Drain.Timeout + d.Drain.Linger + d.Drain.Telemetry; d.StopTimeout() <= sum {
		t.Errorf("stop timeout %v is not above the sum of the budgets %v", d.StopTimeout(), sum)
	}
}

// Every setting has a usage, and every one but secrets has a flag.
func TestEverySettingHasAFlag(t *testing.T) {
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	server.Flags(fs)
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Usage == "" {
			t.Errorf("flag --%s has no usage", f.Name)
		}
	})
	for _, name := range []string{"listen", "admin", "log-level", "limits-connections-per-peer", "drain-delay", "tracing-enabled"} {
		if fs.Lookup(name) == nil {
			t.Errorf("there is no flag --%s", name)
		}
	}
	if fs.Lookup("admin-token") != nil {
		t.Error("a secret has a flag")
	}
}

// flavours are the settings of a service.
type flavours struct {
	Flavour string        `yaml:"flavour" usage:"what it tastes of"`
	Ageing  time.Duration `yaml:"ageing" usage:"how long it is kept"`
}

func (f *flavours) SetDefaults() {
	if f.Flavour == "" {
		f.Flavour = "plain"
	}
}

func (f *flavours) Problems() (list []*server.ConfigError) {
	if f.Flavour == "bitter" {
		list = append(list, &server.ConfigError{Key: "flavour", Value: f.Flavour, Allowed: "anything else"})
	}
	return list
}

// A service's settings are set, checked and printed like those of the server.
func TestConfigOfServices(t *testing.T) {
	read := func(file string, environ, flags []string) (*flavours, server.Config, error) {
		f := new(flavours)
		fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
		server.Flags(fs, new(flavours))
		if err := fs.Parse(flags); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "pktsvc.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := server.Load(server.Source{File: path, Environ: func() []string { return environ }, Flags: fs, Services: []server.Settings{f}})
		return f, cfg, err
	}
	for _, test := range []struct {
		file           string
		environ, flags []string
		want           flavours
	}{
		{want: flavours{Flavour: "plain"}},
		{file: "flavour: sour\nageing: 2h", want: flavours{"sour", 2 * time.Hour}},
		{file: "flavour: sour", environ: []string{"PKTSVC_FLAVOUR=sweet", "PKTSVC_AGEING=1s"}, want: flavours{"sweet", time.Second}},
		{environ: []string{"PKTSVC_FLAVOUR=sweet"}, flags: []string{"--flavour", "hot", "--ageing=3s"}, want: flavours{"hot", 3 * time.Second}},
	} {
		f, cfg, err := read(test.file, test.environ, test.flags)
		if err != nil || *f != test.want {
			t.Errorf("%q %q %q: %+v, %v, want %+v", test.file, test.environ, test.flags, *f, err, test.want)
		}
		text, err := cfg.YAML()
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := read(string(text), nil, nil)
		if err != nil || *again != test.want {
			t.Errorf("printed and read: %+v, %v, want %+v", *again, err, test.want)
		}
	}
	_, _, err := read("flavour: bitter\nageing: -1s\ncolour: red", nil, nil)
	for _, want := range []string{`flavour is "bitter" (file `, "ageing", `colour is "red"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %s: %v", want, err)
		}
	}
}
