package main

import (
	"strings"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/tree"
)

// However deep a listing goes, the directories that it is in have a bounded size together.
func TestStoreLsOfLargeDirectories(t *testing.T) {
	m := newMemory()
	put := func(data []byte) store.Ref {
		code := m.Class().Sum(data)
		if _, err := m.Put(t.Context(), code, data); err != nil {
			t.Fatal(err)
		}
		return store.Ref{Span: uint64(len(data)), Code: code}
	}
	encode := func(d store.Dirent) []byte {
		data, err := d.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	text := strings.Repeat(" ", 12<<20)
	filler := []store.Ref{put(encode(store.Dirent{Name: "1", Meta: text})), put(encode(store.Dirent{Name: "2", Meta: text}))}
	below := store.Dirent{Name: "sub", Type: store.DirentDirectory}
	var refs []string
	for range 3 {
		parts := append([]store.Ref{put(encode(below))}, filler...)
		list, err := store.AppendRefs(nil, parts...)
		if err != nil {
			t.Fatal(err)
		}
		ref := put(list)
		ref.Indirect, ref.Span = true, 0
		for _, p := range parts {
			ref.Span += p.Span
		}
		below.Block = &ref
		refs = append(refs, tree.Reference{Directory: true, Ref: ref}.String())
	}
	s := serveStore(t, m)
	if got := ok(t, "", "store", "ls", "-R", "--addr", s.addr, refs[1]); strings.Count(got, "\n") != 6 {
		t.Errorf("two in each other: %s", got)
	}
	if _, stderr, code := execute(t, "", "store", "ls", "-R", "--addr", s.addr, refs[2]); code != 1 || !strings.Contains(stderr, "over the limit") {
		t.Errorf("three in each other: exit code %d, %s", code, stderr)
	}
}
