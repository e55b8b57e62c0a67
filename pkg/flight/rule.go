package flight

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// Limits of rules.
const (
	MaxRules         = 64 // see watching.match
	DefaultRuleTime  = 10 * time.Minute
	MaxRuleTime      = 24 * time.Hour
	DefaultRuleCount = 1000
	MaxRuleCount     = 1_000_000
)

// Rule makes requests notable that match it, for a limited time and number of them. Its
// methods may be called concurrently.
type Rule struct {
	ID    uint64
	Match Match
	Every uint64 // only each so manieth that matches; 0 and 1: all

	// What is done with them beside remembering them: whoever has set Options.Notify sees
	// to it.
	Log, Span bool
	Payload   int // how many bytes of the request's payload are shown; 0: nothing of it

	Until time.Time // when it ends by itself
	Count uint64    // after how many requests it ends by itself

	seen, taken atomic.Uint64
	timer       *time.Timer
	recorder    *Recorder
}

// RuleOptions are what a new rule is made of. Zero values of the limits are defaults.
type RuleOptions struct {
	Match     Match
	Every     uint64
	Log, Span bool
	Payload   int           // bytes, up to MaxPayload (see Options.ShowPayloads and Recorder.Payloads)
	For       time.Duration // how long (DefaultRuleTime)
	Count     uint64        // for how many requests (DefaultRuleCount)
}

// AddRule puts a rule in force. The error says which limit forbids it.
func (r *Recorder) AddRule(o RuleOptions) (*Rule, error) {
	if o.For == 0 {
		o.For = DefaultRuleTime
	}
	if o.Count == 0 {
		o.Count = DefaultRuleCount
	}
	switch {
	case o.For < 0 || o.For > MaxRuleTime:
		return nil, fmt.Errorf("a rule for %v: want more than 0 and up to %v", o.For, MaxRuleTime)
	case o.Count > MaxRuleCount:
		return nil, fmt.Errorf("a rule for %d requests: want up to %d", o.Count, MaxRuleCount)
	case o.Payload < 0 || o.Payload > MaxPayload:
		return nil, fmt.Errorf("%d bytes of payloads: want up to %d", o.Payload, MaxPayload)
	}
	rule := &Rule{
		Match: o.Match, Every: max(1, o.Every), Log: o.Log, Span: o.Span, Payload: o.Payload,
		Until: time.Now().Add(o.For), Count: o.Count, recorder: r,
	}
	full := false
	r.watch(func(w *watching) {
		if full = len(w.rules) >= MaxRules; full {
			return
		}
		r.lastRule++
		rule.ID = r.lastRule
		rule.timer = time.AfterFunc(o.For, rule.Remove)
		w.rules = append(w.rules, rule)
	})
	if full {
		return nil, fmt.Errorf("there are %d rules already: remove one", MaxRules)
	}
	return rule, nil
}

// Rules lists those in force, the oldest first.
func (r *Recorder) Rules() []*Rule {
	if w := r.watching.Load(); w != nil {
		return w.rules
	}
	return nil
}

// Rule finds one in force, or returns nil.
func (r *Recorder) Rule(id uint64) *Rule {
	for _, rule := range r.Rules() {
		if rule.ID == id {
			return rule
		}
	}
	return nil
}

// Remove ends the rule, if it has not ended. It does not block.
func (rule *Rule) Remove() {
	rule.recorder.watch(func(w *watching) {
		rule.timer.Stop()
		w.rules = slices.DeleteFunc(w.rules, func(other *Rule) bool { return other == rule })
	})
}

// Taken is how many requests it has made notable.
func (rule *Rule) Taken() uint64 { return min(rule.taken.Load(), rule.Count) }

// takes says whether the rule takes a request.
func (rule *Rule) takes(rec *record) bool {
	if !rule.Match.record(rec) {
		return false
	}
	if rule.Every > 1 && rule.seen.Add(1)%rule.Every != 0 {
		return false
	}
	n := rule.taken.Add(1)
	if n == rule.Count {
		rule.Remove()
	}
	return n <= rule.Count
}
