package tree

import (
	"strings"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/store"
)

func TestReferenceText(t *testing.T) {
	code := store.SHA1.Sum(nil)
	for _, test := range []struct {
		r    Reference
		want string
	}{
		{Reference{Ref: store.Ref{Span: 5, Code: code}}, "file:sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709@5"},
		{Reference{Directory: true, Ref: store.Ref{Span: 1 << 63, Code: code}}, "dir:sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709@9223372036854775808"},
		{Reference{Ref: store.Ref{Indirect: true, Span: 5, Code: code}}, "file:list:sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709@5"},
		{Reference{Ref: store.Ref{Type: store.RefRun, Span: 300, Run: 7}}, "file:run:07@300"},
		{Reference{Ref: store.Ref{Type: store.RefLiteral}}, "file:literal:"},
		{Reference{Directory: true, Ref: store.Ref{Type: store.RefLiteral, Span: 2, Literal: []byte{0, 255}}}, "dir:literal:00ff"},
	} {
		if got := test.r.String(); got != test.want {
			t.Errorf("%+v is %s, want %s", test.r, got, test.want)
		}
		var back Reference
		if err := back.UnmarshalText([]byte(test.want)); err != nil || back.String() != test.want {
			t.Errorf("%s reads as %v, %v", test.want, back, err)
		}
		again, err := ReferenceTo(test.r.Dirent())
		if err != nil || again.String() != test.want {
			t.Errorf("the entry of %s has the reference %v, %v", test.want, again, err)
		}
	}
	for _, wrong := range []string{
		"", "file", "file:", "link:sha1:00@1", "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709", "file:sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709",
		"file:sha1:da39@1", "file:md5:da39@1", "file:sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709@-1", "file:sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709@01",
		"file:sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709@18446744073709551616", "file:run:7@1", "file:run:0707@1", "file:literal:0", "file:literal:" + strings.Repeat("00", maxLiteral+1),
		"file:list:literal:00", "file:list:list:sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709@1",
	} {
		if r, err := ParseReference(wrong); err == nil {
			t.Errorf("%q reads as %v", wrong, r)
		}
	}
	for _, none := range []store.Dirent{
		{Type: store.DirentLink}, {Block: &store.Ref{Type: store.RefPart, Of: new(store.Ref)}},
		{Block: &store.Ref{Type: store.RefLiteral, Literal: make([]byte, maxLiteral+1)}},
	} {
		if r, err := ReferenceTo(none); err == nil {
			t.Errorf("%+v has the reference %v", none, r)
		}
	}
}

// What reads as a reference is written in one way, which reads as the same.
func FuzzReference(f *testing.F) {
	for _, text := range []string{
		"file:sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709@5", "dir:list:sha1:DA39a3ee5e6b4b0d3255bfef95601890afd80709@0",
		"dir:run:07@300", "file:literal:00ff", "file:literal:", "x",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseReference(text)
		if err != nil {
			return
		}
		written := r.String()
		back, err := ParseReference(written)
		if err != nil || back.String() != written {
			t.Errorf("%q is %q, which reads as %v, %v", text, written, back, err)
		}
		if !strings.EqualFold(written, text) {
			t.Errorf("%q is written as %q", text, written)
		}
		if _, err := r.Ref.AppendBinary(nil); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	})
}
