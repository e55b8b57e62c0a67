package interop_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

func sortCodes(codes []store.Code) { slices.SortFunc(codes, store.Code.Compare) }

// asksWindows lists codes, which are all of a store's, in windows, and compares
// their checksums.
func asksWindows(t *testing.T, c *store.Client, codes []store.Code) {
	t.Helper()
	ctx := within(t)
	if n, err := c.Length(ctx); err != nil || n != uint64(len(codes)) {
		t.Errorf("length %d, %v; want %d", n, err, len(codes))
	}
	var walked []store.Code
	for code, err := range c.Codes(ctx, store.Code{}) {
		if err != nil {
			t.Fatal(err)
		}
		walked = append(walked, code)
	}
	if !slices.Equal(walked, codes) {
		t.Errorf("walked %d codes, want %d", len(walked), len(codes))
	}
	for _, w := range []struct {
		start store.Code
		after bool
		rest  []store.Code // that the window is the beginning of
	}{
		{store.Code{}, false, codes},
		{codes[0], true, codes[1:]},
		{codes[100], false, codes[100:]},
		{codes[100], true, codes[101:]},
		{codes[len(codes)-1], true, nil},
	} {
		for _, n := range []int{1, 64, 10_000} {
			want := w.rest[:min(n, len(w.rest))]
			got, err := c.HashCodes(ctx, w.start, w.after, uint64(n))
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%d codes from %v, after %v: %d codes, %v; want %d", n, w.start, w.after, len(got), err, len(want))
			}
			sum, err := c.Checksum(ctx, w.start, w.after, uint64(n))
			if err != nil || sum != store.ChecksumOf(c.Class(), want) {
				t.Errorf("checksum of %d codes from %v, after %v: %+v, %v", n, w.start, w.after, sum, err)
			}
		}
	}
}

// asksTrees adds indirect blocks over what asksStore has added.
func asksTrees(t *testing.T, c *store.Client) {
	t.Helper()
	ctx := within(t)
	code := func(text string) store.Code { return c.Class().Sum([]byte(text)) }
	tree := func(refs ...store.Ref) store.Code {
		block, err := store.AppendRefs(nil, refs...)
		if err != nil {
			t.Fatal(err)
		}
		code, err := c.Add(ctx, block)
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	leaf := tree(store.Ref{Span: 7, Code: code("block 0")}, store.Ref{Span: 7, Code: code("block 1")})
	whole := tree(store.Ref{Indirect: true, Span: 14, Code: leaf})
	lacking := tree(store.Ref{Indirect: true, Span: 14, Code: leaf}, store.Ref{Span: 7, Code: code("missing")})
	for root, want := range map[store.Code]bool{whole: true, leaf: true, lacking: false, code("missing"): false} {
		if there, err := c.ContainsIndirect(ctx, root); err != nil || there != want {
			t.Errorf("%v, %v; want %v", there, err, want)
		}
	}
	if _, err := c.ContainsIndirect(ctx, code("hello")); !errors.Is(err, stream.ErrRejected) {
		t.Errorf("a block without references: %v", err)
	}
}

func asksArchives(t *testing.T, c *store.Client) {
	t.Helper()
	ctx := within(t)
	if _, err := c.Last(ctx, "archive"); !errors.Is(err, store.ErrMissing) {
		t.Errorf("an empty archive: %v", err)
	}
	for i, name := range []string{"one", "two", "three"} {
		entry := store.Entry{When: 1_700_000_000.5 + float64(i), Dirent: store.Dirent{Type: store.DirentLink, Name: name, Meta: "a:o:rw-x"}}
		if err := c.Update(ctx, "archive", entry); err != nil {
			t.Fatal(err)
		}
		last, err := c.Last(ctx, "archive")
		if err != nil || last.When != entry.When || last.Dirent.Name != name {
			t.Errorf("last: %+v, %v", last, err)
		}
		list, err := c.List(ctx, "archive")
		if err != nil || len(list) != i+1 || list[i].Dirent.Meta != "a:o:rw-x" {
			t.Errorf("list: %+v, %v", list, err)
		}
	}
}
