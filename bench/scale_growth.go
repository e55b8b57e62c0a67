package main

import "strconv"

// shape is a load: callers that go through the connections in turn.
type shape struct {
	Conns   int `json:"conns"`
	Callers int `json:"callers"` // of all connections together
	Size    int `json:"size"`    // bytes
}

// calls are those of caller i: on one connection, or, where connections are more than
// callers, on every Callers-th of them in turn.
func (s shape) calls(links []link, i int) Call {
	if s.Conns <= s.Callers {
		return links[i%s.Conns].newCall()
	}
	var calls []Call
	for ; i < s.Conns; i += s.Callers {
		calls = append(calls, links[i].newCall())
	}
	next := 0
	return func(req []byte) ([]byte, error) {
		call := calls[next]
		next = (next + 1) % len(calls)
		return call(req)
	}
}

// curve is a load that grows in one way.
type curve struct {
	part, title string
	axis        string
	xs          []int
	shape       func(x int) shape
	label       func(x int) string
}

var growthCurves = []curve{
	{
		part: "alone", title: "16 B, more and more connections, one caller on each", axis: "connections",
		xs: []int{1, 10, 100, 1000, 10000}, label: thousands,
		shape: func(x int) shape { return shape{Conns: x, Callers: x, Size: 16} },
	},
	{
		part: "connections", title: "16 B, 1,024 callers over more and more connections", axis: "connections",
		xs: []int{1, 10, 100, 1000, 10000}, label: thousands,
		shape: func(x int) shape { return shape{Conns: x, Callers: 1024, Size: 16} },
	},
	{
		part: "callers", title: "16 B, more and more callers of one connection", axis: "callers",
		xs: []int{1, 4, 16, 64, 256, 1024, 4096}, label: thousands,
		shape: func(x int) shape { return shape{Conns: 1, Callers: x, Size: 16} },
	},
	{
		part: "payload", title: "larger and larger payloads, 16 callers of one connection", axis: "bytes",
		xs: []int{16, 256, 4 << 10, 64 << 10, 1 << 20}, label: bytesText,
		shape: func(x int) shape { return shape{Conns: 1, Callers: 16, Size: x} },
	},
	{
		part: "split", title: "1 KiB, 4,096 callers: few large connections or many small", axis: "connections",
		xs: []int{1, 16, 256, 4096}, label: func(x int) string { return thousands(x) + " × " + thousands(4096/x) },
		shape: func(x int) shape { return shape{Conns: x, Callers: 4096, Size: 1 << 10} },
	},
}

func (m *measuringTask) grow() error {
	f, err := m.load(m.Shape, m.forDuration)
	if err != nil {
		return err
	}
	return m.report(Point{Part: m.Part, X: m.X, figures: f})
}

// thousands has a comma for every three digits.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func bytesText(n int) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return strconv.Itoa(n>>20) + " MiB"
	case n >= 1<<10 && n%(1<<10) == 0:
		return strconv.Itoa(n>>10) + " KiB"
	}
	return strconv.Itoa(n) + " B"
}
