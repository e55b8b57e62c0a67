package stream

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Every hex example of docs/PROTOCOL.md decodes to what stands beside it, and
// that encodes to the same bytes.
func TestProtocolDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`^([0-9a-f ]+?) {2,}(\S.*)$`)
	checked := 0
	for _, block := range regexp.MustCompile("(?s)```hex\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		for example := range strings.Lines(block[1]) {
			m := line.FindStringSubmatch(strings.TrimSuffix(example, "\n"))
			if m == nil {
				t.Errorf("cannot read the example %q", example)
				continue
			}
			wire := unhex(t, strings.ReplaceAll(m[1], " ", ""))
			p, n, _, err := ParsePacket(wire, 0)
			if err != nil || n != len(wire) || p.String() != m[2] {
				t.Errorf("%s is %q (%v), %d of %d bytes", example, p, err, n, len(wire))
			}
			if again, err := p.AppendBinary(nil); err != nil || string(again) != string(wire) {
				t.Errorf("%s encodes as % x, %v", example, again, err)
			}
			checked++
		}
	}
	if checked < 10 {
		t.Errorf("only %d examples were found", checked)
	}
}
