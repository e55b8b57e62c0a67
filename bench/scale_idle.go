package main

import "errors"

// idle holds more and more connections that have made one call each, and looks at the
// server's memory and at a busy connection beside them: first without any, last when
// they have gone.
func (m *measuringTask) idle() error {
	if err := m.besideIdle(partIdle, 0); err != nil {
		return err
	}
	var held []link
	for i, n := range m.Idle {
		more, err := m.links.many(n - len(held))
		if err != nil {
			return err
		}
		held = append(held, more...)
		if err := m.besideIdle(partIdle, n); err != nil {
			return err
		}
		if i == len(m.Idle)-1 {
			if _, err := m.server.usageAfter(askHeap); err != nil {
				return err
			}
		}
	}
	// Those that were lost meanwhile would have cost nothing.
	if err := sideBySide(len(held), func(i int) error { return held[i].ping() }); err != nil {
		return errors.Join(errors.New("an idle connection does not answer"), err)
	}
	if err := closeAll(held); err != nil {
		return err
	}
	return m.besideIdle(partIdleGone, 0)
}

// besideIdle measures the busy connection first, and the memory when it is closed:
// what a load leaves behind in the server then counts without idle ones, too.
func (m *measuringTask) besideIdle(part string, n int) error {
	f, err := m.load(busy, m.forDuration)
	if err != nil {
		return err
	}
	mem, err := m.memory()
	if err != nil {
		return err
	}
	return m.report(Point{Part: part, X: n, figures: f, Memory: mem})
}
