package stream

import (
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const protocolDocument = "../../docs/PROTOCOL.md"

// The examples of the document are what the engine does; see its beginning for
// the kinds of block.
func TestProtocolDocument(t *testing.T) {
	text, err := os.ReadFile(protocolDocument)
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`^([0-9a-f ]+?) {2,}(\S.*)$`)
	checked := make(map[string]int)
	for _, block := range regexp.MustCompile("(?s)```([a-z]+)\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		check := map[string]func(wire []byte, says string) string{
			"number": checkNumber, "hex": checkPacket, "accepted": checkAccepted, "refused": checkRefused,
		}[block[1]]
		if check == nil {
			t.Errorf("a block of unknown kind %q", block[1])
			continue
		}
		for example := range strings.Lines(block[2]) {
			m := line.FindStringSubmatch(strings.TrimSuffix(example, "\n"))
			if m == nil {
				t.Errorf("cannot read the example %q", example)
				continue
			}
			wire, err := hex.DecodeString(strings.ReplaceAll(m[1], " ", ""))
			if err != nil {
				t.Errorf("%s: %v", m[1], err)
				continue
			}
			if problem := check(wire, m[2]); problem != "" {
				t.Errorf("%s  %s: %s", m[1], m[2], problem)
			}
			checked[block[1]]++
		}
	}
	for kind, least := range map[string]int{"number": 5, "hex": 15, "accepted": 3, "refused": 6} {
		if checked[kind] < least {
			t.Errorf("only %d examples of kind %q were found", checked[kind], kind)
		}
	}
}

func checkNumber(wire []byte, says string) string {
	v, n, err := ConsumeUint(wire)
	if err != nil || n != len(wire) || strconv.FormatUint(v, 10) != says {
		return "read as " + strconv.FormatUint(v, 10)
	}
	if again := AppendUint(nil, v); string(again) != string(wire) {
		return "written as " + hex.EncodeToString(again)
	}
	return ""
}

func checkPacket(wire []byte, says string) string {
	p, n, _, err := ParsePacket(wire, 0)
	if err != nil {
		return err.Error()
	}
	if n != len(wire) || p.String() != says {
		return "read as " + p.String()
	}
	if again, err := p.AppendBinary(nil); err != nil || string(again) != string(wire) {
		return "written as " + hex.EncodeToString(again)
	}
	return ""
}

func checkAccepted(wire []byte, says string) string {
	p, n, _, err := ParsePacket(wire, 0)
	if err != nil {
		return err.Error()
	}
	if n != len(wire) || p.String() != says {
		return "read as " + p.String()
	}
	if again := p.append(nil); len(again) >= len(wire) {
		return "this is the form in which it is written"
	}
	return ""
}

func checkRefused(wire []byte, says string) string {
	p, _, _, err := ParsePacket(wire, 0)
	if pe := (*ProtocolError)(nil); !errors.As(err, &pe) {
		return "read as " + p.String()
	} else if pe.Field != says {
		return "refused for its " + pe.Field
	}
	return ""
}

// A section that a comment refers to is there, and every section that the
// document itself refers to.
func TestProtocolSections(t *testing.T) {
	document, err := os.ReadFile(protocolDocument)
	if err != nil {
		t.Fatal(err)
	}
	sections := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^## (\d+)\. `).FindAllStringSubmatch(string(document), -1) {
		sections[m[1]] = true
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	referred := 0
	for _, file := range append(files, protocolDocument) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\bsections? (\d+)(?: and (\d+))?`).FindAllStringSubmatch(string(text), -1) {
			for _, number := range m[1:] {
				if number != "" && !sections[number] {
					t.Errorf("%s refers to section %s, which is not there", filepath.Base(file), number)
				}
				referred++
			}
		}
	}
	if referred < 10 {
		t.Errorf("only %d references were found", referred)
	}
}
