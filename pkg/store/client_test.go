package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

func TestClient(t *testing.T) {
	for class := range numClasses {
		t.Run(class.String(), func(t *testing.T) {
			ctx := t.Context()
			c := NewClient(served(t, NewService(NewMemory(class, 0), Options{})), class)
			var all []Code
			for n := range 2*pageLength + 1 { // more than two pages
				code, err := c.Add(ctx, fmt.Appendf(nil, "block %d", n))
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, code)
			}
			slices.SortFunc(all, Code.Compare)

			if n, err := c.Length(ctx); n != uint64(len(all)) || err != nil {
				t.Errorf("Length is %d, %v", n, err)
			}
			var got []Code
			for code, err := range c.Codes(ctx, Code{}) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, code)
			}
			if !slices.Equal(got, all) {
				t.Errorf("Codes yields %d, want %d, in order", len(got), len(all))
			}
			if got, err := c.HashCodes(ctx, all[3], true, 2); err != nil || !slices.Equal(got, all[4:6]) {
				t.Errorf("two after the fourth: %v, %v", got, err)
			}
			for _, n := range []uint64{1, 1000, 1 << 40} {
				want := ChecksumOf(class, all[3:min(uint64(len(all)), 3+n)])
				if sum, err := c.Checksum(ctx, all[3], false, n); sum != want || err != nil {
					t.Errorf("checksum of %d: %v, %v, want %v", n, sum, err, want)
				}
			}
			if sum, err := c.Checksum(ctx, all[len(all)-1], true, 5); err != nil || sum != ChecksumOf(class, nil) || !sum.Last.IsZero() {
				t.Errorf("checksum of none: %v, %v", sum, err)
			}

			data := []byte("block 7")
			code := class.Sum(data)
			if got, err := c.Get(ctx, code); err != nil || !bytes.Equal(got, data) {
				t.Errorf("Get: %q, %v", got, err)
			}
			if _, err := c.Get(ctx, class.Sum([]byte("absent"))); !errors.Is(err, ErrMissing) {
				t.Errorf("Get of what is not there: %v, want ErrMissing", err)
			}
			if same, sent, err := c.AddMissing(ctx, data); same != code || sent || err != nil {
				t.Errorf("AddMissing of what is there: %v, %v, %v", same, sent, err)
			}
			if _, sent, err := c.AddMissing(ctx, []byte("new")); !sent || err != nil {
				t.Errorf("AddMissing of what is new: %v, %v", sent, err)
			}
			adding, err := c.Submit(ctx, []byte("later"))
			if err == nil {
				err = adding.Wait(ctx)
			}
			if there, has := c.Contains(ctx, adding.Code); err != nil || !there || has != nil {
				t.Errorf("Submit: %v; Contains: %v, %v", err, there, has)
			}
			if err := c.Flush(ctx); err != nil {
				t.Errorf("Flush: %v", err)
			}
			if _, err := c.HashCodes(ctx, Code{}, false, 0); err == nil || !strings.Contains(err.Error(), "least is 1") {
				t.Errorf("0 hash codes: %v", err)
			}
			if _, err := c.HashCodes(ctx, Code{}, true, 1); !errors.Is(err, errAfterNothing) {
				t.Errorf("after nothing: %v", err)
			}
		})
	}
}

func TestClientArchives(t *testing.T) {
	ctx := t.Context()
	c := NewClient(served(t, NewService(NewMemory(SHA1, 0), Options{})), SHA1)
	if _, err := c.Last(ctx, "home"); !errors.Is(err, ErrMissing) {
		t.Errorf("Last of an empty archive: %v, want ErrMissing", err)
	}
	for n := range 3 {
		entry := Entry{When: float64(n) + 0.5, Dirent: Dirent{Type: DirentLink, Name: "link", Meta: "m:1.5"}}
		if err := c.Update(ctx, "home", entry); err != nil {
			t.Fatal(err)
		}
	}
	if last, err := c.Last(ctx, "home"); err != nil || last.When != 2.5 || last.Dirent.Name != "link" {
		t.Errorf("Last: %+v, %v", last, err)
	}
	if list, err := c.List(ctx, "home"); err != nil || len(list) != 3 || list[0].When != 0.5 {
		t.Errorf("List: %+v, %v", list, err)
	}
	for _, name := range []ArchiveName{"", "a/b", `a\b`, "..", "a.b", "a\nb", ArchiveName(strings.Repeat("x", MaxArchiveName+1)), "\xff"} {
		_, err := c.Last(ctx, name)
		refused := (*stream.Error)(nil)
		if err == nil || errors.As(err, &refused) {
			t.Errorf("the name %q is sent: %v", name, err)
		}
		// The service does not rely on that.
		payload := stream.AppendData(nil, name)
		if err := name.Check(); err == nil || new(ArchiveName).UnmarshalBinary(payload) == nil {
			t.Errorf("the name %q is taken: %v", name, err)
		}
	}
}

// A store that answers anything it likes does not make the client believe it.
func TestClientBelievesNothing(t *testing.T) {
	right, wrong := SHA256.Sum([]byte("right")), SHA256.Sum([]byte("wrong"))
	low, high := right, wrong
	if low.Compare(high) > 0 {
		low, high = high, low
	}
	encoded := func(codes ...Code) []byte {
		b, _, _ := appendCodes(nil, codes)
		return b
	}
	ctx := t.Context()
	tests := []struct {
		name   string
		answer stream.Response
		ask    func(c *Client) error
	}{
		{"Add stored something else", stream.Response{Payload: encoded(wrong)}, func(c *Client) error {
			_, err := c.Add(ctx, []byte("right"))
			return err
		}},
		{"Submit stored something else", stream.Response{Payload: encoded(wrong)}, func(c *Client) error {
			a, err := c.Submit(ctx, []byte("right"))
			if err != nil {
				return err
			}
			return a.Wait(ctx)
		}},
		{"Get gives another block", stream.Response{Flags: 1, Payload: []byte("wrong")}, func(c *Client) error {
			_, err := c.Get(ctx, right)
			return err
		}},
		{"more codes than asked for", stream.Response{Payload: encoded(low, high)}, func(c *Client) error {
			_, err := c.HashCodes(ctx, Code{}, false, 1)
			return err
		}},
		{"codes out of order", stream.Response{Payload: encoded(high, low)}, func(c *Client) error {
			_, err := c.HashCodes(ctx, Code{}, false, 2)
			return err
		}},
		{"a code twice", stream.Response{Payload: encoded(low, low)}, func(c *Client) error {
			_, err := c.HashCodes(ctx, Code{}, false, 2)
			return err
		}},
		{"a code before the start", stream.Response{Payload: encoded(low)}, func(c *Client) error {
			_, err := c.HashCodes(ctx, high, false, 2)
			return err
		}},
		{"the start, asked for what is after it", stream.Response{Payload: encoded(low)}, func(c *Client) error {
			_, err := c.HashCodes(ctx, low, true, 2)
			return err
		}},
		{"codes of another class", stream.Response{Payload: encoded(SHA1.Sum(nil))}, func(c *Client) error {
			_, err := c.HashCodes(ctx, Code{}, false, 2)
			return err
		}},
		{"the same for ever", stream.Response{Payload: encoded(low)}, func(c *Client) error {
			for _, err := range NewClient(c.to, SHA256).Codes(ctx, high) {
				if err != nil {
					return err
				}
			}
			return nil
		}},
		{"a checksum of another class", stream.Response{Payload: encoded(SHA1.Sum(nil))}, func(c *Client) error {
			_, err := c.Checksum(ctx, Code{}, false, 2)
			return err
		}},
		{"a checksum that ends before it begins", stream.Response{Payload: encoded(low, low)}, func(c *Client) error {
			_, err := c.Checksum(ctx, high, false, 2)
			return err
		}},
		{"no archive entry", stream.Response{Flags: 1, Payload: []byte("x")}, func(c *Client) error {
			_, err := c.Last(ctx, "a")
			return err
		}},
		{"no archive entries", stream.Response{Payload: []byte("x")}, func(c *Client) error {
			_, err := c.List(ctx, "a")
			return err
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			conn := connected(t, stream.HandlerFunc(func(context.Context, stream.Request) (stream.Response, error) { return test.answer, nil }))
			if err := test.ask(NewClient(conn, SHA256)); !errors.Is(err, ErrAnswer) {
				t.Errorf("error %v, want ErrAnswer", err)
			}
		})
	}
}

// What does not decode is an error, too.
func TestClientRefusesNonsense(t *testing.T) {
	conn := connected(t, stream.HandlerFunc(func(context.Context, stream.Request) (stream.Response, error) {
		return stream.Response{Flags: 2, Payload: []byte{0x80}}, nil
	}))
	c := NewClient(conn, SHA1)
	for name, ask := range everyQuestion(t, c) {
		if err := ask(); err == nil {
			t.Errorf("%s takes nonsense for an answer", name)
		}
	}
}

// A store may list less at a time than it is asked for: the end is where nothing comes.
func TestClientCodesOfShortPages(t *testing.T) {
	service := NewService(NewMemory(SHA1, 0), Options{})
	mux := new(stream.Mux)
	Add.Handle(mux, service.add)
	HashCodes.Handle(mux, func(ctx context.Context, w Window) ([]Code, error) {
		w.Length = min(w.Length, 3)
		return service.hashCodes(ctx, w)
	})
	c := NewClient(connected(t, mux), SHA1)
	for n := range 10 {
		mustAdd(t, c, strconv.Itoa(n))
	}
	n := 0
	for _, err := range c.Codes(t.Context(), Code{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 10 {
		t.Errorf("%d codes of 10", n)
	}
}

// everyQuestion is each request that has an answer which can be wrong.
func everyQuestion(t *testing.T, c *Client) map[string]func() error {
	ctx := t.Context()
	return map[string]func() error{
		"Add":              func() error { _, err := c.Add(ctx, nil); return err },
		"Get":              func() error { _, err := c.Get(ctx, SHA1.Sum(nil)); return err },
		"Contains":         func() error { _, err := c.Contains(ctx, SHA1.Sum(nil)); return err },
		"ContainsIndirect": func() error { _, err := c.ContainsIndirect(ctx, SHA1.Sum(nil)); return err },
		"Flush":            func() error { return c.Flush(ctx) },
		"Length":           func() error { _, err := c.Length(ctx); return err },
		"HashCodes":        func() error { _, err := c.HashCodes(ctx, Code{}, false, 1); return err },
		"Checksum":         func() error { _, err := c.Checksum(ctx, Code{}, false, 1); return err },
		"Last":             func() error { _, err := c.Last(ctx, "a"); return err },
		"List":             func() error { _, err := c.List(ctx, "a"); return err },
	}
}
