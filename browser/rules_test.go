package browser

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// A rule is added by the form, takes what matches, and is removed by its button.
func TestRules(t *testing.T) {
	s := serve(t, nil)
	b := open(t, s.url, "#/rules")
	b.until("there is no rule", func() bool { return strings.Contains(b.text("main"), "No rule is in force.") })
	b.write("#rule-type", "Echo")
	b.write("#rule-count", "100")
	b.write("#rule-for", "5")
	b.click("#add-rule button.primary")
	b.until("what is wrong is told", func() bool {
		return strings.Contains(b.text("#add-rule .problem"), `for="5", want a time with its unit`)
	})
	b.allow("400 (Bad Request)")
	b.write("#rule-for", "30m")
	b.write("#rule-payload", "32")
	b.click("#rule-log")
	b.click("#add-rule button.primary")
	one := func(taken string) func() bool {
		return func() bool {
			rows := b.rows("Rules in force")
			return len(rows) == 1 && rows[0][1] == "type=0" && rows[0][2] == taken+" of 100" && rows[0][4] == "remember, span, log, payload"
		}
	}
	b.until("the rule is listed", one("0"))
	s.ask(t, 7, typeEcho)
	b.until("the rule has taken what was asked", one("7"))
	b.do(chromedp.Navigate(s.url + "/#/requests?state=notable"))
	b.until("what it has taken is notable", func() bool {
		rows := b.rows("Requests")
		return len(rows) == 7 && rows[0][5] == "rule 1"
	})
	b.click("tbody th a")
	b.until("as much of the payload is shown as the server lets", func() bool { return strings.Contains(b.text(".facts"), "Payload\nredacted, 16 bytes") })
	b.do(chromedp.NavigateBack(), chromedp.NavigateBack())
	b.click(`button[aria-label="Remove rule 1"]`)
	b.until("the rule is gone", func() bool { return len(b.rows("Rules in force")) == 0 })
	b.until("what it did is told", func() bool {
		return strings.Contains(b.text("main"), "Rule 1 is removed. It has taken 7 requests.")
	})
	if focus := eval[string](b, `document.activeElement.getAttribute('aria-label')`); focus != "Rules in force" {
		t.Errorf("the focus is at %q", focus)
	}
}

// From a filter it is one click to a rule for the same requests.
func TestRuleFromFilter(t *testing.T) {
	b := open(t, serve(t, nil).url, "#/requests?state=notable&type=Sleep&slower_than=2s&peer=127.0.0.1")
	b.click(`.match a`)
	b.shows("h1", "Rules")
	for field, want := range map[string]string{"type": "Sleep", "slower_than": "2s", "peer": "127.0.0.1", "conn": ""} {
		if got := eval[string](b, `document.getElementById('rule-`+field+`').value`); got != want {
			t.Errorf("%s is %q, want %q", field, got, want)
		}
	}
}

// Other sites can neither change anything nor read what the page reads.
func TestOtherSites(t *testing.T) {
	s := serve(t, nil)
	other := serve(t, nil)
	b := open(t, other.url, "")
	b.shows("#state", "Live")
	// The policy of the page itself would forbid it: a page that has none is used.
	b.do(chromedp.Navigate(other.url + "/version"))
	for _, part := range []string{"a request to another server", "CORS", "ERR_FAILED", "403 (Forbidden)", "favicon.ico"} {
		b.allow(part)
	}
	for _, method := range []string{http.MethodPost, http.MethodGet} {
		if answer := eval[string](b, `fetch('`+s.url+`/tracez?type=Echo', {method: '`+method+`'}).then((a) => 'read: ' + a.status, (e) => e.name)`); answer != "TypeError" {
			t.Errorf("%s of another site: %s", method, answer)
		}
	}
	if status := eval[string](b, `fetch('`+s.url+`/tracez?type=Echo', {method: 'POST', mode: 'no-cors'}).then((a) => a.type, (e) => e.name)`); status != "opaque" {
		t.Errorf("a form of another site: %s", status)
	}
	mine := open(t, s.url, "#/rules")
	mine.until("the rules are read", func() bool { return strings.Contains(mine.text("main"), "No rule is in force.") })
}
