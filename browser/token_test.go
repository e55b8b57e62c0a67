package browser

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// Without the token the page asks for it, keeps it in its tab only, and sends it along.
func TestToken(t *testing.T) {
	const token = "open sesame"
	s := serve(t, []string{"PKTSVC_ADMIN_TOKEN=" + token})
	b := open(t, s.url, "#/rules")
	b.allow("401 (Unauthorized)")
	b.shows("h1", "This server wants its admin token")
	b.write("#token", "open barley\r")
	b.until("a wrong one is refused", func() bool { return strings.Contains(b.text(".problem"), "does not take this token") })
	b.picture("token")
	b.judge("the form for the token")
	b.write("#token", token)
	b.click("button.primary")
	b.shows("h1", "Rules")
	b.shows("#state", "Live")
	b.write("#rule-type", "Sleep")
	b.click("#add-rule button.primary")
	b.until("a rule can be added", func() bool { return len(b.rows("Rules in force")) == 1 })
	b.do(chromedp.Reload())
	b.until("the tab knows it still", func() bool { return len(b.rows("Rules in force")) == 1 })
	kept := eval[[]string](b, `[JSON.stringify({...localStorage}), document.cookie, location.href, document.documentElement.outerHTML]`)
	for _, place := range kept {
		if strings.Contains(place, "sesame") {
			t.Errorf("the token is in %.100s", place)
		}
	}
	other := open(t, s.url, "")
	other.allow("401 (Unauthorized)")
	other.shows("h1", "This server wants its admin token")
}

// A server that goes away is told, and one that comes back is seen.
func TestServerGoesAway(t *testing.T) {
	s := serve(t, nil)
	b := open(t, s.url, "")
	b.shows("#state", "Live")
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	b.allow("ERR_CONNECTION_REFUSED")
	b.allow("ERR_CONNECTION_RESET")
	b.allow("ERR_EMPTY_RESPONSE")
	b.allow("ERR_SOCKET_NOT_CONNECTED")
	b.until("that it is gone is told", func() bool { return strings.HasPrefix(b.text("#state"), "No answer since ") })
	serve(t, nil, "--admin", strings.TrimPrefix(s.url, "http://"))
	b.shows("#state", "Live")
}
