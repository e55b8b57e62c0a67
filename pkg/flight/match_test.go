package flight

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// values reads NAME=VALUE separated by spaces.
func values(tb testing.TB, parameters string) url.Values {
	tb.Helper()
	q, err := url.ParseQuery(strings.ReplaceAll(parameters, " ", "&"))
	if err != nil {
		tb.Fatal(err)
	}
	return q
}

func TestMatch(t *testing.T) {
	rec := &record{
		End:  stream.End{Channel: 3, Tag: 4711, Type: typeSleep, Label: "import 7", Duration: time.Second},
		conn: &stream.ConnInfo{Name: "tcp-9", Peer: stream.Peer{Address: "192.0.2.1:4711", Identity: "importer"}},
		role: stream.RoleServer, outcome: stream.OutcomeLost,
	}
	for parameters, want := range map[string]bool{
		"": true, "conn=tcp-9": true, "conn=tcp": false, "peer=192.0.2.1": true, "peer=192.0.2.2": false,
		"identity=importer": true, "identity=import": false, "role=server": true, "role=client": false,
		"label=import": true, "label=export": false, "outcome=lost": true, "outcome=failed": true, "outcome=ok": false,
		"channel=3": true, "channel=0": false, "type=Sleep": true, "type=1": true, "type=Echo": false, "type=2-5": false,
		"tag=4711": true, "tag=4000-5000": true, "tag=4712-": false, "tag=4000-": true, "tag=4710": false,
		"slower_than=1s": true, "slower_than=1001ms": false, "conn=tcp-9 tag=4711 outcome=failed": true, "conn=tcp-9 tag=1": false,
	} {
		if got := mustMatch(t, parameters).record(rec); got != want {
			t.Errorf("%s: %t", parameters, got)
		}
	}
	if !(*Match)(nil).record(rec) {
		t.Error("nil is not all")
	}
}

func TestWrongMatch(t *testing.T) {
	for parameters, want := range map[string]string{
		"tag=x":          `tag="x", want a number, or LOW-HIGH`,
		"tag=5-4":        `tag="5-4"`,
		"tag=-1":         `tag="-1"`,
		"type=Nope":      "one of Decline, Echo, Panic, Sleep",
		"outcome=bad":    "one of failed, pending, ok, rejected",
		"role=both":      "one of client, server",
		"slower_than=5":  "a duration such as 100ms",
		"slower_than=-s": "a duration",
	} {
		if _, err := ParseMatch(values(t, parameters), typeNames); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", parameters, err, want)
		}
	}
	_, err := ParseMatch(values(t, "tag=x role=y"), nil)
	if err == nil || !strings.Contains(err.Error(), "tag") || !strings.Contains(err.Error(), "role") {
		t.Errorf("%v, want both", err)
	}
}

// What a match says of itself means the same.
func FuzzParseMatch(f *testing.F) {
	for _, seed := range []string{"", "conn=a&tag=3-9", "type=Sleep&slower_than=1h3m", "outcome=failed&channel=18446744073709551615", "tag=0-"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		m, err := ParseMatch(q, typeNames)
		if err != nil {
			return
		}
		again := make(url.Values)
		for _, name := range MatchParameters {
			if v := q.Get(name); v != "" {
				again.Set(name, v)
			}
		}
		text := m.String()
		for name := range again {
			if zero := name == "slower_than" && m.SlowerThan == 0; !zero && !strings.Contains(text, name+"=") {
				t.Errorf("%q says nothing of %s", text, name)
			}
		}
		if strings.ContainsAny(query, " +%&;") {
			return // its text cannot be taken apart
		}
		back, err := ParseMatch(values(t, strings.ReplaceAll(text, "&", "%26")), typeNames)
		if err != nil || *back != *m {
			t.Errorf("%q gives %q, which gives %+v (%v), want %+v", query, text, back, err, m)
		}
	})
}
