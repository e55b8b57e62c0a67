package flight

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Match says which requests are meant. The zero value is all. It is not changed once it
// is in use, and may be used concurrently then.
type Match struct {
	Conn     string // name of the connection
	Peer     string // part of its peer's address
	Identity string // of its peer
	Role     string // of this side: client or server
	Label    string // part of a call's label
	Outcome  string // such as ok; failed is all others but pending

	Channel, Type, Tag Range
	SlowerThan         time.Duration
}

// Range is the numbers from Low to High, or all where Set is false.
type Range struct {
	Low, High uint64
	Set       bool
}

func (r *Range) has(n uint64) bool { return !r.Set || r.Low <= n && n <= r.High }

// String is one number, LOW-HIGH, or LOW- where there is no end.
func (r *Range) String() string {
	switch r.High {
	case r.Low:
		return strconv.FormatUint(r.Low, 10)
	case math.MaxUint64:
		return fmt.Sprintf("%d-", r.Low)
	}
	return fmt.Sprintf("%d-%d", r.Low, r.High)
}

const outcomeFailed = "failed"

// MatchParameters are the names that ParseMatch knows.
var MatchParameters = []string{
	"conn", "peer", "identity", "role", "label", "outcome", "channel", "type", "tag", "slower_than",
}

// ParseMatch reads a match from parameters: conn, peer (a part of the address), identity,
// role, label (a part), outcome (or failed), channel, type and tag (a number, LOW-HIGH, or
// LOW-; of a type also its name), slower_than (such as 100ms). Others are not looked
// at. The error names all that is wrong.
func ParseMatch(q url.Values, types map[uint64]string) (*Match, error) {
	p := matchParser{q: q}
	m := &Match{
		Conn: q.Get("conn"), Peer: q.Get("peer"), Identity: q.Get("identity"), Label: q.Get("label"),
		Role:    p.word("role", stream.RoleClient.String(), stream.RoleServer.String()),
		Outcome: p.word("outcome", outcomes...),
		Channel: p.numbers("channel", nil), Type: p.numbers("type", types), Tag: p.numbers("tag", nil),
	}
	if text := q.Get("slower_than"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			p.wrong("slower_than", text, "a duration such as 100ms")
		}
		m.SlowerThan = d
	}
	if err := errors.Join(p.errs...); err != nil {
		return nil, err
	}
	return m, nil
}

var outcomes = func() []string {
	list := []string{outcomeFailed}
	for o := range stream.NumOutcomes {
		list = append(list, o.String())
	}
	return list
}()

type matchParser struct {
	q    url.Values
	errs []error
}

func (p *matchParser) wrong(name, text, want string) {
	p.errs = append(p.errs, fmt.Errorf("%s=%q, want %s", name, text, want))
}

func (p *matchParser) word(name string, allowed ...string) string {
	text := p.q.Get(name)
	if text != "" && !slices.Contains(allowed, text) {
		p.wrong(name, text, "one of "+strings.Join(allowed, ", "))
	}
	return text
}

func (p *matchParser) numbers(name string, names map[uint64]string) Range {
	text := p.q.Get(name)
	if text == "" {
		return Range{}
	}
	for n, called := range names {
		if called == text {
			return Range{n, n, true}
		}
	}
	first, last, ranged := strings.Cut(text, "-")
	low, err := strconv.ParseUint(first, 10, 64)
	high := low
	if ranged && err == nil {
		if high = math.MaxUint64; last != "" {
			high, err = strconv.ParseUint(last, 10, 64)
		}
	}
	if err != nil || high < low {
		want := "a number, or LOW-HIGH"
		if len(names) > 0 {
			want += ", or one of " + strings.Join(slices.Sorted(maps.Values(names)), ", ")
		}
		p.wrong(name, text, want)
	}
	return Range{low, high, true}
}

// String is the parameters, in the order of MatchParameters; empty: all requests.
func (m *Match) String() string {
	var list []string
	add := func(name, value string) {
		if value != "" {
			list = append(list, name+"="+value)
		}
	}
	add("conn", m.Conn)
	add("peer", m.Peer)
	add("identity", m.Identity)
	add("role", m.Role)
	add("label", m.Label)
	add("outcome", m.Outcome)
	for _, n := range []struct {
		name string
		of   *Range
	}{{"channel", &m.Channel}, {"type", &m.Type}, {"tag", &m.Tag}} {
		if n.of.Set {
			add(n.name, n.of.String())
		}
	}
	if m.SlowerThan > 0 {
		add("slower_than", m.SlowerThan.String())
	}
	return strings.Join(list, " ")
}

func (m *Match) conn(c *stream.ConnInfo) bool {
	return m == nil || (m.Conn == "" || m.Conn == c.Name) &&
		(m.Peer == "" || strings.Contains(c.Peer.Address, m.Peer)) &&
		(m.Identity == "" || m.Identity == c.Peer.Identity)
}

func (m *Match) outcome(o stream.Outcome) bool {
	switch m.Outcome {
	case "":
		return true
	case outcomeFailed:
		return o != stream.OutcomeOK && o != stream.OutcomePending
	}
	return m.Outcome == o.String()
}

func (m *Match) numbers(role stream.Role, channel, tag, typ uint64) bool {
	return m.Tag.has(tag) && m.Type.has(typ) && m.Channel.has(channel) && (m.Role == "" || m.Role == role.String())
}

// begun says whether a request that begins may come to be meant. A call has no tag yet.
func (m *Match) begun(c *stream.ConnInfo, role stream.Role, channel, tag, typ uint64) bool {
	if role == stream.RoleClient {
		tag = m.Tag.Low
	}
	return m.numbers(role, channel, tag, typ) && m.conn(c)
}

// record says whether a request that has ended is meant. A nil match is all.
func (m *Match) record(r *record) bool {
	return m == nil || m.numbers(r.role, r.Channel, r.Tag, r.Type) &&
		r.took() >= m.SlowerThan && m.outcome(r.outcome) && m.conn(r.conn) &&
		(m.Label == "" || strings.Contains(r.Label, m.Label))
}

// open is the same of one that is in flight.
func (m *Match) open(o *stream.OpenRequest, now time.Time) bool {
	return m == nil || m.numbers(o.Role, o.Channel, o.Tag, o.Type) &&
		(m.SlowerThan == 0 || now.Sub(o.Begun) >= m.SlowerThan) && m.outcome(stream.OutcomePending) &&
		(m.Label == "" || strings.Contains(o.Label, m.Label))
}
