package flight

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// A rule shows the beginnings of payloads of what it matches, if that is allowed, and
// connections are asked for them only as long as it is in force.
func TestPayloads(t *testing.T) {
	for _, tt := range []struct {
		name, match string
		show        bool
		bytes       int
		want        []string
	}{
		{name: "redacted", match: "role=server type=Echo", bytes: 4, want: []string{`server 3 "redacted, 3 bytes"`, `server 4 "redacted, 6 bytes"`}},
		{name: "shown", match: "role=server type=Echo", show: true, bytes: 4, want: []string{`server 3 "\"a\\x00c\""`, `server 4 "\"abcd\"... of 6 bytes"`}},
		{name: "of a call", match: "role=client tag=4", show: true, bytes: MaxPayload, want: []string{`client 4 "\"abcdef\""`}},
		{name: "not asked for", match: "role=client tag=4", show: true, want: []string{`client 4 ""`}},
		{name: "no other", match: "conn=other", show: true, bytes: 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got []string
				r := mustNew(t, Options{ShowPayloads: tt.show, Notify: func(n *Notable) string {
					got = append(got, fmt.Sprintf("%v %d %q", n.Role(), n.End().Tag, n.Payload()))
					return ""
				}})
				observer := stream.Observers(r.Payloads(), r)
				c := pair(t, observer, observer)
				call(t, c, typeEcho, "before")
				rule, err := r.AddRule(RuleOptions{Match: *mustMatch(t, tt.match), Payload: tt.bytes})
				if err != nil {
					t.Fatal(err)
				}
				call(t, c, typeEcho, "a\x00c")
				time.Sleep(time.Millisecond)
				call(t, c, typeEcho, "abcdef")
				synctest.Wait()
				rule.Remove()
				call(t, c, typeEcho, "after")
				if fmt.Sprint(got) != fmt.Sprint(tt.want) {
					t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
				}
				var listed []string
				for _, q := range r.Notable(nil, 10) {
					listed = append([]string{fmt.Sprintf("%s %d %q", q.Role, q.Tag, q.Payload)}, listed...)
				}
				if fmt.Sprint(listed) != fmt.Sprint(tt.want) {
					t.Errorf("listed %s", listed)
				}
				if events := r.Payloads().Events(); events != 0 {
					t.Errorf("it wants %v still", events)
				}
			})
		})
	}
}
