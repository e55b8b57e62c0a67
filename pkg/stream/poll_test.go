package stream

import "testing"

func TestPolls(t *testing.T) {
	p := newPolls(false)
	p.most, p.active = 1<<20, new(activity) // whatever readers of other tests do
	packets := 0                            // that come before each wait
	turn := func(came bool) {
		t.Helper()
		p.handled(packets)
		if p.begin() == 0 {
			t.Fatalf("does not poll: %+v", p)
		}
		p.end(came)
	}
	skips := func(n int) {
		t.Helper()
		for i := range n {
			p.handled(packets)
			if p.begin() > 0 {
				t.Fatalf("polls after %d waits without, want %d: %+v", i, n, p)
			}
		}
	}
	turn(true)
	for pause := 1; pause < maxPollPause; pause *= 2 { // each failure doubles the pause
		turn(false)
		skips(pause)
	}
	for range 2 {
		turn(false)
		skips(maxPollPause) // which has a bound
	}
	turn(true) // one success
	turn(false)
	skips(1) // ends it
	for range 2 {
		for range pollStreak {
			turn(true)
		}
		skips(1) // others have a look
	}
	packets = 100
	for _, waits := range []int{1, 1, 1, 1, 1, 1, 1, 2, 3, 6, 11, 11} { // for 1, 2, 4 ... 1024 packets
		turn(false)
		skips(waits)
	}
	if p.streak != 0 || polling.Load() < 0 {
		t.Errorf("%+v, %d poll", p, polling.Load())
	}
}

// There is a bound on readers that poll at a time.
func TestPollsAtATime(t *testing.T) {
	before := polling.Add(1) // another reader polls
	defer polling.Add(-1)
	p, q := polls{most: before, active: new(activity)}, polls{most: before + 1, active: new(activity)}
	if p.begin() > 0 {
		t.Error("polls beyond the bound")
	}
	if q.begin() == 0 {
		t.Fatal("does not poll below the bound")
	}
	q.end(true)
	if never := newPolls(true); never.begin() > 0 {
		t.Error("polls though it should never")
	}
}

// No reader polls while more connections are read than may poll.
func TestPollsOfFewConnections(t *testing.T) {
	var a activity
	one, other := polls{most: 1, active: &a}, polls{most: 1, active: &a}
	const period = moment(activePeriod)
	at := 10 * period
	for _, step := range []struct {
		later       moment
		one, other  bool // are read
		conns       int32
		description string
	}{
		{0, true, false, 1, "one"},
		{0, true, false, 1, "the same one again"},
		{period, true, false, 1, "in the next period"},
		{0, false, true, 2, "another one"},
		{period, true, false, 2, "which was, in the period before"},
		{period, true, false, 1, "and is no more"},
		{0, false, true, 2, "is again"},
		{3 * period, true, false, 1, "and not any more for long"},
		{-period, false, true, 2, "by a clock that was read earlier"},
	} {
		at += step.later
		if step.one {
			a.note(at, &one.period)
		}
		if step.other {
			a.note(at, &other.period)
		}
		if got := a.conns(); got != step.conns {
			t.Errorf("%s: %d connections, want %d", step.description, got, step.conns)
		}
	}
	const many = 1000 // more than readers of other tests
	var crowd activity
	for range many {
		crowd.note(period, new(int64))
	}
	few, enough := polls{most: many - 1, active: &crowd}, polls{most: many, active: &crowd}
	if few.begin() > 0 {
		t.Error("polls while more connections are read than may")
	}
	if enough.begin() == 0 {
		t.Fatal("does not poll while few enough are read")
	}
	enough.end(true)
}
