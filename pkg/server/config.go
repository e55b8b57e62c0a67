package server

import (
	"errors"
	"math"
	"runtime/debug"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/pktsvc/pktsvc/pkg/flight"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Defaults of [Config] that have no counterpart in pkg/stream.
const (
	DefaultListen             = "tcp://127.0.0.1:7450"
	DefaultAdmin              = "127.0.0.1:7451"
	DefaultConnections        = 10_000
	DefaultConnectionsPerPeer = 5_000
	DefaultCloseTimeout       = 5 * time.Minute
	DefaultHandshakeTimeout   = 10 * time.Second
	DefaultTLSReload          = 10 * time.Second
	DefaultMemory             = 1 << 30
	DefaultClosedKept         = 1_000
	DefaultActivityInterval   = 10 * time.Second
	DefaultSlow               = time.Second
	DefaultLogRecent          = 1_000
	DefaultDrainTimeout       = 25 * time.Second
	DefaultTelemetryTimeout   = 5 * time.Second
)

// Config is everything that can be set of a server. Each field has one key,
// such as limits.max_packet, which is spelled limits: max_packet: in a file,
// PKTSVC_LIMITS_MAX_PACKET in the environment and --limits-max-packet as a flag.
//
// The zero value works: one listener at [DefaultListen], no admin server, every
// limit at its default. [Default] gives what the program starts with. Where a
// size or a time may not be zero, zero means its default.
type Config struct {
	Listen     []string `yaml:"listen" usage:"listen URL: tcp://HOST:PORT, tls://HOST:PORT, unix://PATH, stdio:, or systemd:NAME for sockets that systemd passes, all without NAME (repeatable; port 0 chooses a free one)"`
	Admin      string   `yaml:"admin" usage:"HOST:PORT of the admin HTTP server; empty for none"`
	AdminToken Secret   `yaml:"admin_token" usage:"bearer token for the admin pages that show or change the inside; empty for none"`

	// AdminWebConfig is a file in the form of Prometheus' exporters. It is read again
	// for each connection, so that it can change without a restart.
	AdminWebConfig string `yaml:"admin_web_config" usage:"file with TLS and users of the admin server, in the form of Prometheus exporters (web configuration)"`

	TLS      TLSConfig      `yaml:"tls"`
	Log      LogConfig      `yaml:"log"`
	Limits   LimitsConfig   `yaml:"limits"`
	Drain    DrainConfig    `yaml:"drain"`
	Tracing  TracingConfig  `yaml:"tracing"`
	Recorder RecorderConfig `yaml:"recorder"`

	Dashboards DashboardsConfig `yaml:"dashboards"`

	// Services are the settings of the services that are served, which Load reads
	// with those of the server.
	Services []Settings `yaml:"-" json:"-"`
}

// Settings are what can be set of a service. They are a pointer to a struct whose
// fields have the tags yaml (the key) and usage, and types of which [Config] has
// some; their keys must not be keys of Config.
type Settings interface {
	// SetDefaults replaces every zero that stands for a default.
	SetDefaults()
	// Problems lists what is wrong. The defaults are set.
	Problems() []*ConfigError
}

// TLSConfig is for listeners of the form tls://HOST:PORT. The version is 1.3 at
// least. Files are looked at again every Reload, so that certificates can be
// replaced without a restart.
type TLSConfig struct {
	Cert     string        `yaml:"cert" usage:"PEM file with the certificate of tls:// listeners, and its chain"`
	Key      string        `yaml:"key" usage:"PEM file with its private key"`
	ClientCA string        `yaml:"client_ca" usage:"PEM file with the authorities whose client certificates are accepted; without it clients need none"`
	Optional bool          `yaml:"client_optional" usage:"clients without a certificate are accepted, too, and have no identity"`
	Reload   time.Duration `yaml:"reload" usage:"how often the files are looked at for changes"`
}

// LogConfig configures logs, which are written to standard error.
type LogConfig struct {
	Level    string        `yaml:"level" usage:"debug, info, warn or error"`
	Format   string        `yaml:"format" usage:"json or console"`
	Packets  string        `yaml:"packets" usage:"trace of packets: off, switchable (by connection at /log/trace) or on"`
	Slow     time.Duration `yaml:"slow" usage:"requests that take longer are logged as warnings; 0 for none"`
	Activity time.Duration `yaml:"activity" usage:"interval of the line that sums up activity; 0 for none"`
	Recent   int           `yaml:"recent" usage:"log lines that are kept in memory for /logz"`
}

// The values of log.packets.
const (
	packetsOff        = "off"
	packetsSwitchable = "switchable"
	packetsOn         = "on"
)

// LimitsConfig bounds what a peer can make the server spend. Those from
// MaxPacket to MaxAge are the options of pkg/stream with the same names, for
// each connection.
type LimitsConfig struct {
	Connections        int           `yaml:"connections" usage:"open connections; fewer when there are not so many file descriptors"`
	ConnectionsPerPeer int           `yaml:"connections_per_peer" usage:"open connections from one IP address"`
	Memory             int           `yaml:"memory" usage:"bytes for what all peers send: requests in flight, parts of packets, unread answers (by default half of GOMEMLIMIT, or 1 GiB)"`
	ClosedKept         int           `yaml:"closed_kept" usage:"closed connections that are remembered for /connz"`
	HandshakeTimeout   time.Duration `yaml:"handshake_timeout" usage:"how long a TLS handshake may take"`
	CloseTimeout       time.Duration `yaml:"close_timeout" usage:"how long the requests of a peer that has ended sending may go on"`

	MaxPacket        int           `yaml:"max_packet" usage:"longest packet, in bytes"`
	MaxHandlers      int           `yaml:"max_handlers" usage:"requests handled at a time, per connection"`
	MaxQueued        int           `yaml:"max_queued" usage:"requests that wait for a handler, per connection"`
	MaxQueuedBytes   int           `yaml:"max_queued_bytes" usage:"payload bytes of unanswered requests, per connection"`
	MaxInFlight      int           `yaml:"max_in_flight" usage:"unanswered requests of this side, per connection"`
	SendBuffer       int           `yaml:"send_buffer" usage:"bytes that wait to be sent, per connection"`
	FlushDelay       time.Duration `yaml:"flush_delay" usage:"holds back packets so that more leave in one write; 0 for no delay"`
	NoPolling        bool          `yaml:"no_polling" usage:"readers wait as soon as nothing is there, instead of asking again for some 50 µs, or longer after many packets, where that pays: less CPU time, less speed"`
	WriteTimeout     time.Duration `yaml:"write_timeout" usage:"ends a connection whose peer takes no bytes for so long"`
	ReadTimeout      time.Duration `yaml:"read_timeout" usage:"ends a connection whose peer sends no byte for so long in the middle of a packet"`
	PauseTimeout     time.Duration `yaml:"pause_timeout" usage:"rejects requests beyond max_queued when none of those accepted has ended for so long"`
	FirstByteTimeout time.Duration `yaml:"first_byte_timeout" usage:"ends a connection that sends nothing at all; 0 for never"`
	IdleTimeout      time.Duration `yaml:"idle_timeout" usage:"ends a connection without packets for so long; 0 for never"`
	MaxAge           time.Duration `yaml:"max_age" usage:"ends a connection that is older, some up to a tenth earlier so that they do not end together; 0 for never"`
	PingInterval     time.Duration `yaml:"ping_interval" usage:"how often this side pings peers that it has called, where both speak the extension; others when they were silent for twice as long"`
	PingTimeout      time.Duration `yaml:"ping_timeout" usage:"ends a connection on which nothing at all comes for so long after a ping"`
	Without          []string      `yaml:"without" usage:"features of the extension that are not used: metadata, cancel, ping, credit, going_away, times, or all"`
}

// DrainConfig divides the time between the signal to stop and the end.
type DrainConfig struct {
	Delay     time.Duration `yaml:"delay" usage:"wait between 'not ready' and the end of accepting"`
	Serve     time.Duration `yaml:"serve" usage:"how long new requests are still served on open connections, then rejected"`
	Timeout   time.Duration `yaml:"timeout" usage:"how long requests in flight may take to finish; the time of drain.serve is a part of it"`
	Linger    time.Duration `yaml:"linger" usage:"how long the peers' end is awaited when everything is answered"`
	Telemetry time.Duration `yaml:"telemetry" usage:"how long the last traces may take to leave"`
}

// TracingConfig says whether spans are made. Where they go, and which of them,
// is set by the OTEL_* variables of the environment.
type TracingConfig struct {
	Enabled       string `yaml:"enabled" usage:"auto (when an OTEL_* variable names an exporter), on or off"`
	DistrustPeers bool   `yaml:"distrust_peers" usage:"spans of callers that come with their requests are linked, and are neither parents here nor decide what is sampled"`
	Service       string `yaml:"service" usage:"name of this program in traces, where OTEL_SERVICE_NAME gives none"`
	URL           string `yaml:"url" usage:"where people see one trace, with {trace_id} where its ID goes, such as http://localhost:16686/trace/{trace_id}: the page of the admin server links there"`
}

// DashboardsConfig says where dashboards of this server are.
type DashboardsConfig struct {
	URL string `yaml:"url" usage:"where people see the dashboards of this server, such as http://localhost:3000/: the page of the admin server links there"`
}

// RecorderConfig configures the flight recorder, see package flight.
type RecorderConfig struct {
	Off       bool          `yaml:"off" usage:"requests are not remembered: /requestz shows only what is in flight, taps and rules see nothing"`
	Records   int           `yaml:"records" usage:"requests that are remembered, at 128 bytes each"`
	Notable   int           `yaml:"notable" usage:"notable requests that are remembered for each reason: matched by a rule, failed, slow"`
	Slow      time.Duration `yaml:"slow" usage:"requests that take longer are notable; 0 for none"`
	SlowTypes []string      `yaml:"slow_types" usage:"the same for one type of request, NAME=DURATION (repeatable)"`
	Adaptive  bool          `yaml:"adaptive" usage:"slow is also what takes longer than 99 of 100 of its type have lately, from 1ms on; not for types that slow_types names"`
	Payloads  bool          `yaml:"payloads" usage:"rules may show the beginnings of payloads; else only how long they are"`
}

// Secret is a string that does not show when it is printed.
type Secret string

// String returns a mask, or nothing for an empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "********"
}

// GoString is String, for %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText gives the mask to every encoder of text, such as JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Default returns the configuration that the program starts with.
func Default() Config {
	c := Config{
		Admin: DefaultAdmin,
		Log:   LogConfig{Slow: DefaultSlow, Activity: DefaultActivityInterval},

		Recorder: RecorderConfig{Slow: flight.DefaultSlow},
	}
	c.setDefaults()
	return c
}

// setDefaults replaces every zero that stands for a default.
func (c *Config) setDefaults() {
	if len(c.Listen) == 0 {
		c.Listen = []string{DefaultListen}
	}
	orDefault(&c.Log.Level, "info")
	orDefault(&c.Log.Format, "json")
	orDefault(&c.Log.Packets, packetsSwitchable)
	orDefault(&c.Log.Recent, DefaultLogRecent)

	orDefault(&c.Limits.Connections, DefaultConnections)
	orDefault(&c.Limits.ConnectionsPerPeer, DefaultConnectionsPerPeer)
	orDefault(&c.Limits.Memory, defaultMemory())
	orDefault(&c.Limits.ClosedKept, DefaultClosedKept)
	orDefault(&c.Limits.HandshakeTimeout, DefaultHandshakeTimeout)
	orDefault(&c.TLS.Reload, DefaultTLSReload)
	orDefault(&c.Limits.CloseTimeout, DefaultCloseTimeout)
	orDefault(&c.Limits.MaxPacket, stream.DefaultMaxPacket)
	orDefault(&c.Limits.MaxHandlers, stream.DefaultMaxHandlers)
	orDefault(&c.Limits.MaxQueued, stream.DefaultMaxQueued)
	orDefault(&c.Limits.MaxQueuedBytes, stream.DefaultMaxQueuedBytes)
	orDefault(&c.Limits.MaxInFlight, stream.DefaultMaxInFlight)
	orDefault(&c.Limits.SendBuffer, stream.DefaultSendBuffer)
	orDefault(&c.Limits.WriteTimeout, stream.DefaultWriteTimeout)
	orDefault(&c.Limits.ReadTimeout, stream.DefaultReadTimeout)
	orDefault(&c.Limits.PauseTimeout, stream.DefaultPauseTimeout)
	orDefault(&c.Limits.PingInterval, stream.DefaultPingInterval)
	orDefault(&c.Limits.PingTimeout, stream.DefaultPingTimeout)

	orDefault(&c.Drain.Timeout, DefaultDrainTimeout)
	orDefault(&c.Drain.Serve, min(stream.DefaultDrainTimeout, c.Drain.Timeout))
	orDefault(&c.Drain.Linger, stream.DefaultLinger)
	orDefault(&c.Drain.Telemetry, DefaultTelemetryTimeout)

	orDefault(&c.Tracing.Enabled, "auto")
	orDefault(&c.Tracing.Service, "pktsvc")

	orDefault(&c.Recorder.Records, flight.DefaultRecords)
	orDefault(&c.Recorder.Notable, flight.DefaultNotable)

	for _, s := range c.Services {
		s.SetDefaults()
	}
}

// defaultMemory leaves the other half of what the process may use to answers, to
// handlers, and to garbage.
func defaultMemory() int {
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		return int(max(limit/2, 1))
	}
	return DefaultMemory
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// YAML returns the configuration in the form of its file, with secrets masked.
func (c Config) YAML() ([]byte, error) {
	text, err := yaml.Marshal(c)
	for _, s := range c.Services {
		more, e := yaml.Marshal(s)
		text, err = append(text, more...), errors.Join(err, e)
	}
	return text, err
}

// streamOptions are the options of every connection, without its name, handlers
// and observer.
func (c Config) streamOptions() stream.Options {
	l := c.Limits
	without, _ := stream.ParseFeatures(l.Without...) // they are known names: see validate
	return stream.Options{
		MaxPacket:        l.MaxPacket,
		MaxHandlers:      l.MaxHandlers,
		MaxQueued:        l.MaxQueued,
		MaxQueuedBytes:   l.MaxQueuedBytes,
		MaxInFlight:      l.MaxInFlight,
		SendBuffer:       l.SendBuffer,
		FlushDelay:       l.FlushDelay,
		NoPolling:        l.NoPolling,
		WriteTimeout:     l.WriteTimeout,
		ReadTimeout:      l.ReadTimeout,
		PauseTimeout:     l.PauseTimeout,
		FirstByteTimeout: l.FirstByteTimeout,
		IdleTimeout:      l.IdleTimeout,
		MaxAge:           l.MaxAge,
		PingInterval:     l.PingInterval,
		PingTimeout:      l.PingTimeout,
		Without:          without,
		DrainTimeout:     c.Drain.Serve,
		Linger:           c.Drain.Linger,
	}
}

// Steps of the end that are not worth a setting.
const (
	forceTimeout     = 2 * time.Second // for connections to end once they are forced
	adminStopTimeout = 2 * time.Second // for admin requests to finish
	stopSpare        = 2 * time.Second // for what is between the steps
)

// StopTimeout is the time in which a server with this configuration surely
// stops. An fx app needs a stop timeout (fx.StopTimeout) that is not below it:
// fx gives all stop hooks one deadline and skips those that are left when it
// passes.
func (c Config) StopTimeout() time.Duration {
	c.setDefaults()
	return c.drainBudget() + forceTimeout + c.afterDrain() + stopSpare
}

// drainBudget is what the steps of an orderly drain may take together.
func (c Config) drainBudget() time.Duration {
	return c.Drain.Delay + c.Drain.Timeout + c.Drain.Linger + lingerSlack
}

// afterDrain is the part of the stop timeout that the drain leaves to others.
func (c Config) afterDrain() time.Duration {
	return adminStopTimeout + c.Drain.Telemetry
}
