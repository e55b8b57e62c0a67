package top

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Order is what rows are sorted by: figures with the greatest first, names ascending. Types
// or connections that have no such figure are sorted by rate.
type Order string

// The orders.
const (
	ByRate   Order = "rate"   // requests and calls
	ByErrors Order = "errors" // types only
	ByP50    Order = "p50"    // types only
	ByP99    Order = "p99"
	ByIn     Order = "in"   // bytes received
	ByOut    Order = "out"  // bytes sent
	ByBusy   Order = "busy" // serving, queued and in flight
	ByAge    Order = "age"  // connections only
	ByName   Order = "name"
)

// orders has them as they are shown.
var orders = []Order{ByRate, ByErrors, ByP50, ByP99, ByIn, ByOut, ByBusy, ByAge, ByName}

// Orders are the names of all, with commas. It may be called concurrently and does not
// block.
func Orders() string {
	var names []string
	for _, o := range orders {
		names = append(names, string(o))
	}
	return strings.Join(names, ", ")
}

// ParseOrder reads the name of one. It may be called concurrently and does not block.
func ParseOrder(name string) (Order, error) {
	if !slices.Contains(orders, Order(name)) {
		return "", fmt.Errorf("%q is no order, want one of %s", name, Orders())
	}
	return Order(name), nil
}

// next is the order so many places further, in a circle.
func (o Order) next(by int) Order {
	return orders[(slices.Index(orders, o)+by+len(orders))%len(orders)]
}

// Sort puts the rows into an order, or the reverse. Those that are equal in it are in that
// of their names either way, so that rows that nothing happens to stay in their places.
// It changes f, and does not block.
func (f *Figures) Sort(by Order, reverse bool) {
	slices.SortFunc(f.Types, func(a, b Type) int {
		names := cmp.Or(compareNames(a.Type, b.Type), -cmp.Compare(a.Role, b.Role))
		c := cmp.Compare(b.figure(by), a.figure(by))
		if by == ByName {
			c = names
		}
		return cmp.Or(directed(c, reverse), names)
	})
	slices.SortFunc(f.Conns, func(a, b Conn) int {
		names := cmp.Or(compareNames(a.Conn, b.Conn), a.Opened.Compare(b.Opened))
		c := cmp.Compare(b.figure(by), a.figure(by))
		if by == ByName {
			c = names
		}
		return cmp.Or(directed(c, reverse), names)
	})
}

func directed(c int, reverse bool) int {
	if reverse {
		return -c
	}
	return c
}

// order is the one that types are sorted by.
func (*Type) order(by Order) Order {
	switch by {
	case ByErrors, ByP50, ByP99, ByIn, ByOut, ByBusy, ByName:
		return by
	}
	return ByRate
}

func (t *Type) figure(by Order) float64 {
	switch t.order(by) {
	case ByErrors:
		return t.Errors
	case ByP50:
		return orNone(t.P50US)
	case ByP99:
		return orNone(t.P99US)
	case ByIn:
		return t.in()
	case ByOut:
		return t.out()
	case ByBusy:
		return float64(t.InFlight)
	}
	return t.PerS
}

// in and out are the bytes of payloads that the server receives and sends.
func (t *Type) in() float64 {
	if t.Role == roleServer {
		return t.RequestBytes
	}
	return t.ResponseBytes
}

func (t *Type) out() float64 { return t.RequestBytes + t.ResponseBytes - t.in() }

// orNone is less than all latencies where there is none.
func orNone(us *float64) float64 {
	if us == nil {
		return -1
	}
	return *us
}

// order is the one that connections are sorted by.
func (*Conn) order(by Order) Order {
	switch by {
	case ByP99, ByIn, ByOut, ByBusy, ByAge, ByName:
		return by
	}
	return ByRate
}

func (c *Conn) figure(by Order) float64 {
	switch c.order(by) {
	case ByP99:
		return orNone(c.P99US)
	case ByIn:
		return c.BytesReceived
	case ByOut:
		return c.BytesSent
	case ByBusy:
		return float64(c.busy())
	case ByAge:
		return c.AgeSeconds
	}
	return c.Requests + c.Calls
}

func (c *Conn) busy() int { return c.Serving + c.Queued + c.InFlight }

// compareNames has tcp-9 before tcp-10.
func compareNames(a, b string) int {
	textA, numberA := numbered(a)
	textB, numberB := numbered(b)
	return cmp.Or(cmp.Compare(textA, textB), cmp.Compare(numberA, numberB), cmp.Compare(a, b))
}

func numbered(name string) (text string, number uint64) {
	text = strings.TrimRight(name, "0123456789")
	number, _ = strconv.ParseUint(name[len(text):], 10, 64) // without one it is 0
	return text, number
}
