package flight

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// A rule takes exactly what matches, and ends by itself.
func TestRules(t *testing.T) {
	ends := func(r *Recorder, c *stream.Conn, from, to uint64) {
		for tag := from; tag <= to; tag++ {
			r.ObserveEnds(c, stream.RoleServer, []stream.End{{Tag: tag, Type: tag % 4}})
		}
	}
	for _, tt := range []struct {
		name  string
		match string
		o     RuleOptions
		want  []uint64 // tags
		alive bool
	}{
		{name: "all that match", match: "type=Sleep", want: []uint64{1, 5, 9, 13, 17}, alive: true},
		{name: "a range", match: "tag=3-6", want: []uint64{3, 4, 5, 6}, alive: true},
		{name: "none", match: "conn=other", alive: true},
		{name: "each third", match: "type=1", o: RuleOptions{Every: 3}, want: []uint64{9}, alive: true},
		{name: "no more than", o: RuleOptions{Count: 4}, want: []uint64{1, 2, 3, 4}},
		{name: "for a time", o: RuleOptions{For: time.Second}, want: []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told []uint64
				r := mustNew(t, Options{Notify: func(n *Notable) string {
					if len(n.Rules()) != 1 || n.Because() != "rule 1" {
						t.Errorf("%v because of %s", n.Rules(), n.Because())
					}
					told = append(told, n.End().Tag)
					return ""
				}})
				c := conn(t, "one")
				tt.o.Match = *mustMatch(t, tt.match)
				rule, err := r.AddRule(tt.o)
				if err != nil {
					t.Fatal(err)
				}
				ends(r, c, 1, 10)
				time.Sleep(2 * time.Second)
				ends(r, c, 11, 20)
				if fmt.Sprint(told) != fmt.Sprint(tt.want) || rule.Taken() != uint64(len(tt.want)) {
					t.Errorf("told of %v, taken %d, want %v", told, rule.Taken(), tt.want)
				}
				if got := r.Rule(rule.ID) != nil; got != tt.alive {
					t.Errorf("in force: %t", got)
				}
				if got := r.watching.Load() != nil; got != tt.alive {
					t.Errorf("somebody watches: %t", got)
				}
				rule.Remove()
				rule.Remove()
				if r.watching.Load() != nil {
					t.Error("the rule is there still")
				}
			})
		})
	}
}

func TestRuleLimits(t *testing.T) {
	r := mustNew(t, Options{})
	for _, o := range []RuleOptions{{For: -1}, {For: 25 * time.Hour}, {Count: MaxRuleCount + 1}, {Payload: -1}, {Payload: MaxPayload + 1}} {
		if _, err := r.AddRule(o); err == nil || !strings.Contains(err.Error(), "want") {
			t.Errorf("%+v: %v", o, err)
		}
	}
	for range MaxRules {
		if _, err := r.AddRule(RuleOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.AddRule(RuleOptions{}); err == nil || !strings.Contains(err.Error(), "remove one") {
		t.Error(err)
	}
	for _, rule := range r.Rules() {
		rule.Remove()
	}
	var taps []*Tap
	for range MaxTaps {
		tap, err := r.Tap(nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		taps = append(taps, tap)
	}
	if _, err := r.Tap(nil, 1); err == nil || !strings.Contains(err.Error(), "close one") {
		t.Error(err)
	}
	for _, tap := range taps {
		tap.Close()
	}
}

// A tap shows what matches, up to its rate, and counts the rest.
func TestTap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mustNew(t, Options{})
		c := conn(t, "one")
		tap, err := r.Tap(mustMatch(t, "type=Sleep"), 10)
		if err != nil {
			t.Fatal(err)
		}
		ends := make([]stream.End, 40)
		for i := range ends {
			ends[i] = stream.End{Tag: uint64(i), Type: uint64(i % 2)}
		}
		r.ObserveEnds(c, stream.RoleServer, ends)
		if shown, dropped := len(tap.Requests), tap.Dropped(); shown != 10 || dropped != 10 {
			t.Errorf("%d shown, %d dropped, want 10 and 10", shown, dropped)
		}
		if q := <-tap.Requests; q.Method != "Sleep" || q.Tag != 1 || q.Because != "" {
			t.Errorf("%+v", q)
		}
		time.Sleep(time.Second)
		r.ObserveEnds(c, stream.RoleServer, ends[:2])
		if shown := len(tap.Requests); shown != 10 {
			t.Errorf("%d shown later", shown)
		}
		tap.Close()
		r.ObserveEnds(c, stream.RoleServer, ends)
		if len(tap.Requests) != 10 || tap.Dropped() != 10 || r.watching.Load() != nil {
			t.Error("it goes on behind Close")
		}
		if n := r.Stats().Notable; n != 0 {
			t.Errorf("%d requests became notable", n)
		}
	})
}

// A reader of a tap that does not read loses requests, and nobody waits for it.
func TestTapThatIsNotRead(t *testing.T) {
	r := mustNew(t, Options{})
	tap, err := r.Tap(nil, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()
	r.ObserveEnds(conn(t, "one"), stream.RoleServer, make([]stream.End, tapBuffer+5))
	if tap.Dropped() != 5 {
		t.Errorf("%d dropped, want 5", tap.Dropped())
	}
}
