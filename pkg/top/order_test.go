package top

import (
	"strings"
	"testing"
)

func TestSort(t *testing.T) {
	tests := []struct {
		by           Order
		reverse      bool
		types, conns string
	}{
		{ByRate, false, "Echo/server Echo/client Sleep/server", "tcp-9 tcp-10"},
		{ByRate, true, "Sleep/server Echo/client Echo/server", "tcp-10 tcp-9"},
		{ByErrors, false, "Echo/server Echo/client Sleep/server", "tcp-9 tcp-10"},
		{ByP50, false, "Sleep/server Echo/client Echo/server", "tcp-9 tcp-10"},
		{ByP99, true, "Echo/server Echo/client Sleep/server", "tcp-10 tcp-9"},
		{ByIn, false, "Echo/server Echo/client Sleep/server", "tcp-9 tcp-10"},
		{ByOut, false, "Echo/server Echo/client Sleep/server", "tcp-10 tcp-9"},
		{ByBusy, false, "Echo/server Echo/client Sleep/server", "tcp-10 tcp-9"},
		{ByAge, false, "Echo/server Echo/client Sleep/server", "tcp-9 tcp-10"},
		{ByName, false, "Echo/server Echo/client Sleep/server", "tcp-9 tcp-10"},
		{ByName, true, "Sleep/server Echo/client Echo/server", "tcp-10 tcp-9"},
	}
	for _, tt := range tests {
		f := Between(sample(10), sample(14))
		f.Sort(tt.by, tt.reverse)
		var types, conns []string
		for _, typ := range f.Types {
			types = append(types, typ.Type+"/"+typ.Role)
		}
		for _, c := range f.Conns {
			conns = append(conns, c.Conn)
		}
		if got := strings.Join(types, " "); got != tt.types {
			t.Errorf("%s, reverse %t: %s, want %s", tt.by, tt.reverse, got, tt.types)
		}
		if got := strings.Join(conns, " "); got != tt.conns {
			t.Errorf("%s, reverse %t: %s, want %s", tt.by, tt.reverse, got, tt.conns)
		}
	}
}

// Rows that nothing happens to stay in the order of their names, also in reverse; one
// without a latency is behind all that have one.
func TestSortEqual(t *testing.T) {
	f := &Figures{
		Types: []Type{{Type: "b"}, {Type: "zero", P99US: us(0)}, {Type: "a", Role: "client"}, {Type: "a", Role: "server"}},
		Conns: []Conn{{Conn: "tcp-10"}, {Conn: "unix-1"}, {Conn: "tcp-9"}, {Conn: "tcp-09"}},
	}
	for _, reverse := range []bool{false, true} {
		f.Sort(ByAge, reverse)
		if f.Conns[0].Conn != "tcp-09" || f.Conns[1].Conn != "tcp-9" || f.Conns[2].Conn != "tcp-10" || f.Conns[3].Conn != "unix-1" {
			t.Errorf("%+v", f.Conns)
		}
	}
	f.Sort(ByP99, false)
	if f.Types[0].Type != "zero" || f.Types[1].Role != "server" || f.Types[2].Role != "client" || f.Types[3].Type != "b" {
		t.Errorf("%+v", f.Types)
	}
}

func TestParseOrder(t *testing.T) {
	for _, o := range orders {
		if got, err := ParseOrder(string(o)); err != nil || got != o {
			t.Errorf("%s: %s, %v", o, got, err)
		}
	}
	if _, err := ParseOrder("RATE"); err == nil || !strings.Contains(err.Error(), "rate, errors, p50, p99, in, out, busy, age, name") {
		t.Error(err)
	}
	if ByName.next(1) != ByRate || ByRate.next(-1) != ByName || ByRate.next(1) != ByErrors {
		t.Error("orders are no circle")
	}
}
