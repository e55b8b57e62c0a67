package stream

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
)

// answering is a handler that answers with a fixed text.
func answering(s string) HandlerFunc {
	return func(context.Context, Request) (Response, error) { return Text(s), nil }
}

func TestMuxServe(t *testing.T) {
	broken := errors.New("broken")
	var m Mux
	m.Handle(0, "Zero", answering("zero"))
	m.Handle(maxRequestType, "Last", answering("last"))
	m.Inline(7, "Quick", answering("quick"))
	m.HandleFunc(8, "Echo", func(_ context.Context, req Request) (Response, error) {
		return Response{Flags: req.Flags, Payload: req.Payload}, nil
	})
	m.HandleFunc(9, "Broken", func(context.Context, Request) (Response, error) { return Response{}, broken })
	inner := new(Mux)
	inner.Inline(3, "Inner", answering("inner"))
	inner.Handle(4, "Blocking", answering("blocking"))
	m.Handle(3, "Three", inner)
	m.Inline(4, "Four", inner)

	for _, tt := range []struct {
		typ    uint64
		want   string
		err    error
		inline bool
	}{
		{0, "zero", nil, false},
		{maxRequestType, "last", nil, false},
		{7, "quick", nil, true},
		{8, "sent", nil, false},
		{9, "", broken, false},
		{1, "", errUnknownType, false},
		{3, "inner", nil, true},
		{4, "blocking", nil, false}, // the inner mux knows best
	} {
		resp, err := m.Serve(t.Context(), Request{Type: tt.typ, Flags: 5, Payload: []byte("sent")})
		if string(resp.Payload) != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("type %d: %q, %v; want %q, %v", tt.typ, resp.Payload, err, tt.want, tt.err)
		}
		if _, p := m.route(tt.typ); p.isInline() != tt.inline {
			t.Errorf("type %d: inline %t, want %t", tt.typ, p.isInline(), tt.inline)
		}
	}
	want := map[uint64]string{0: "Zero", maxRequestType: "Last", 7: "Quick", 8: "Echo", 9: "Broken", 3: "Three", 4: "Four"}
	if got := m.Names(); !maps.Equal(got, want) {
		t.Errorf("names %v, want %v", got, want)
	}
	m.Names()[0] = "changed"
	if m.Names()[0] != "Zero" {
		t.Error("the map of names is the mux's own")
	}
}

func TestMuxZero(t *testing.T) {
	var m Mux
	if _, err := m.Serve(t.Context(), Request{Type: 5}); !errors.Is(err, errUnknownType) || !strings.Contains(err.Error(), "5") {
		t.Errorf("%v, want an error that names type 5", err)
	}
	if h, p := m.route(5); len(m.Names()) != 0 || h != &m || p != nil {
		t.Error("an empty mux knows something")
	}
}

// Mistakes of the program show when it registers, not when a request comes.
func TestMuxPanics(t *testing.T) {
	h := answering("")
	for name, tt := range map[string]struct {
		register func(m *Mux)
		says     string
	}{
		"twice":            {func(m *Mux) { m.Handle(1, "B", h) }, "registered as A and again as B"},
		"twice, inline":    {func(m *Mux) { m.Inline(1, "B", h) }, "registered as A and again as B"},
		"type too large":   {func(m *Mux) { m.Handle(maxRequestType+1, "B", h) }, "18446744073709551615 (B)"},
		"nil handler":      {func(m *Mux) { m.Handle(2, "B", nil) }, "nil handler for request type 2 (B)"},
		"nil function":     {func(m *Mux) { m.HandleFunc(2, "B", nil) }, "nil handler for request type 2 (B)"},
		"nil typed method": {func(m *Mux) { Method[string, string]{Type: 2, Name: "B"}.Handle(m, nil) }, "nil handler for request type 2 (B)"},
	} {
		t.Run(name, func(t *testing.T) {
			var m Mux
			m.Handle(1, "A", h)
			defer func() {
				if says, ok := recover().(string); !ok || !strings.Contains(says, tt.says) {
					t.Errorf("panics with %q, want %q", says, tt.says)
				}
				if got := m.Names(); len(got) != 1 || got[1] != "A" {
					t.Errorf("the mux has become %v", got)
				}
			}()
			tt.register(&m)
		})
	}
}

// Types may be added while others are served.
func TestMuxConcurrent(t *testing.T) {
	var m Mux
	m.Handle(0, "Zero", answering("zero"))
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 50 {
				m.Handle(uint64(1+g*50+i), "Other", answering("other"))
				if resp, err := m.Serve(t.Context(), Request{}); err != nil || string(resp.Payload) != "zero" {
					t.Errorf("%q, %v", resp.Payload, err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(m.Names()); n != 201 {
		t.Errorf("%d types, want 201", n)
	}
}

func TestMuxAllocations(t *testing.T) {
	var m Mux
	m.Handle(3, "Three", HandlerFunc(func(_ context.Context, req Request) (Response, error) {
		return Response{Payload: req.Payload}, nil
	}))
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { _, _ = m.Serve(ctx, Request{Type: 3}) }); n != 0 {
		t.Errorf("%v allocations for a request, want none", n)
	}
}
