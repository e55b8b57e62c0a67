package store

import (
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// The exchanges in the protocol's description are what a store really answers.
func TestProtocolDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/STORE-PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	conn := served(t, NewService(NewMemory(SHA1, 0), Options{}))
	line := regexp.MustCompile(`^(\d+) (\d+) +(\S+(?: \S+)*?)  +(refused|(\d+) (\S+))$`)
	asked := make(map[uint64]int)
	for _, block := range regexp.MustCompile("(?s)```exchange\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		for example := range strings.Lines(block[1]) {
			m := line.FindStringSubmatch(strings.TrimSuffix(example, "\n"))
			if m == nil {
				t.Errorf("cannot read the example %q", example)
				continue
			}
			req := stream.Request{Payload: bytesOf(t, m[3])}
			if _, err := fmt.Sscan(m[1]+" "+m[2], &req.Type, &req.Flags); err != nil {
				t.Fatal(err)
			}
			asked[req.Type]++
			resp, err := conn.Call(t.Context(), req)
			got, want := "refused", m[4]
			if err == nil {
				got = fmt.Sprintf("%d %x", resp.Flags, resp.Payload)
			}
			if want != "refused" {
				want = fmt.Sprintf("%s %x", m[5], bytesOf(t, m[6]))
			}
			if got != want {
				t.Errorf("%s is answered %s", strings.TrimSpace(example), got)
			}
		}
	}
	for typ := range uint64(11) {
		if asked[typ] == 0 {
			t.Errorf("there is no example of type %d", typ)
		}
	}
}

// bytesOf reads hexadecimal digits with spaces; - stands for nothing.
func bytesOf(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", "-", "").Replace(text))
	if err != nil {
		t.Errorf("%s: %v", text, err)
	}
	return b
}
