package server

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// ConfigError is one thing that is wrong in a configuration.
type ConfigError struct {
	Key     string // such as limits.max_packet
	Value   string
	Source  string // such as "environment PKTSVC_ADMIN"; empty if set by code
	Allowed string // what the value may be
}

// Error returns one line with all of it.
func (e *ConfigError) Error() string {
	source := e.Source
	if source != "" {
		source = " (" + source + ")"
	}
	return fmt.Sprintf("%s is %q%s, want %s", e.Key, e.Value, source, e.Allowed)
}

// Validate returns an error that joins a [ConfigError] for everything that is
// wrong, or nil.
func (c Config) Validate() error {
	c.setDefaults()
	var errs []error
	for _, p := range c.problems() {
		errs = append(errs, p)
	}
	return errors.Join(errs...)
}

// problems checks a configuration that has its defaults.
func (c *Config) problems() (list []*ConfigError) {
	wrong := func(key string, value any, allowed string) {
		list = append(list, &ConfigError{Key: key, Value: fmt.Sprint(value), Allowed: allowed})
	}
	for _, s := range c.settings() {
		switch v := s.value.Interface().(type) {
		case int:
			if v < 0 {
				wrong(s.key, v, "1 or more, or 0 for the default")
			}
		case time.Duration:
			if v < 0 {
				wrong(s.key, v, "a time that is not negative")
			}
		}
	}
	for _, s := range c.Services {
		list = append(list, s.Problems()...)
	}
	c.listenProblems(wrong)
	if c.Admin != "" {
		if err := checkHostPort(c.Admin); err != nil {
			wrong("admin", c.Admin, "HOST:PORT, or nothing for no admin server: "+err.Error())
		}
	}
	if !slices.Contains(logLevels, c.Log.Level) {
		wrong("log.level", c.Log.Level, "debug, info, warn or error")
	}
	if c.Log.Format != "json" && c.Log.Format != "console" {
		wrong("log.format", c.Log.Format, "json or console")
	}
	if !slices.Contains([]string{packetsOff, packetsSwitchable, packetsOn}, c.Log.Packets) {
		wrong("log.packets", c.Log.Packets, "off, switchable or on")
	}
	if c.TLS.Optional && c.TLS.ClientCA == "" {
		wrong("tls.client_optional", true, "tls.client_ca to be set, too")
	}
	if c.Drain.Serve > c.Drain.Timeout {
		wrong("drain.serve", c.Drain.Serve, fmt.Sprintf("at most drain.timeout, which is %v", c.Drain.Timeout))
	}
	if _, ok := tracingModes[c.Tracing.Enabled]; !ok {
		wrong("tracing.enabled", c.Tracing.Enabled, "auto, on or off")
	}
	for _, name := range c.Limits.Without {
		if _, err := stream.ParseFeatures(name); err != nil {
			wrong("limits.without", name, "all, or the name of a feature: "+stream.AllFeatures.String())
		}
	}
	c.linkProblems(wrong)
	for _, text := range c.Recorder.SlowTypes {
		if _, _, err := slowType(text); err != nil {
			wrong("recorder.slow_types", text, slowTypeForm)
		}
	}
	return list
}

var logLevels = []string{"debug", "info", "warn", "error"}

func (c *Config) listenProblems(wrong func(key string, value any, allowed string)) {
	seen := make(map[address]bool)
	for _, url := range c.Listen {
		a, err := parseAddress(url)
		if err != nil {
			wrong("listen", url, "tcp://HOST:PORT, tls://HOST:PORT, unix://PATH, stdio: or systemd:NAME ("+err.Error()+")")
			continue
		}
		if seen[a] && !a.anyPort() {
			wrong("listen", url, "every address once")
		}
		seen[a] = true
		if a.network == "tls" && (c.TLS.Cert == "" || c.TLS.Key == "") {
			wrong("listen", url, "tls.cert and tls.key to be set, too")
		}
		if a.network == "stdio" && os.Getenv("OTEL_TRACES_EXPORTER") == "console" && c.Tracing.Enabled != "off" {
			wrong("listen", url, "no stdio: while OTEL_TRACES_EXPORTER=console writes spans to standard output")
		}
	}
}

// traceIDMark is what the ID of a trace replaces in a URL.
const traceIDMark = "{trace_id}"

func (c *Config) linkProblems(wrong func(key string, value any, allowed string)) {
	if text := c.Tracing.URL; text != "" {
		if err := checkLink(text); err != nil {
			wrong("tracing.url", masked(text), "an http:// or https:// URL with "+traceIDMark+" in its path, query or fragment: "+err.Error())
		} else if _, rest, _ := strings.Cut(text, "://"); !strings.Contains(rest, traceIDMark) {
			wrong("tracing.url", text, "a URL with "+traceIDMark+" where the ID goes")
		}
	}
	if text := c.Dashboards.URL; text != "" {
		if err := checkLink(text); err != nil {
			wrong("dashboards.url", masked(text), "an http:// or https:// URL: "+err.Error())
		}
	}
}

// checkLink refuses what a page should not link to. Everybody who sees the page sees the
// link, so it may have no password.
func checkLink(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return errors.New("it cannot be read")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("it has another scheme, or none")
	case u.Hostname() == "" || strings.ContainsAny(u.Host, "{}"):
		return errors.New("it has no host")
	case u.User != nil:
		return errors.New("it has a user")
	}
	return nil
}

// masked is a URL without what may be a password.
func masked(text string) string {
	scheme, rest, _ := strings.Cut(text, "://")
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		return scheme + "://********" + rest[at:]
	}
	return text
}

func checkHostPort(hostPort string) error {
	_, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return errors.New("there is no port in it, or too many colons")
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("port %q is not a number from 0 to 65535", port)
	}
	return nil
}
