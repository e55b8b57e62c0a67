package stream

import "testing"

func TestPolls(t *testing.T) {
	p := newPolls(false)
	p.most = 1 << 20 // whatever readers of other tests do
	turn := func(came bool) {
		t.Helper()
		if !p.begin() {
			t.Fatalf("does not poll: %+v", p)
		}
		p.end(came)
	}
	skips := func(n int) {
		t.Helper()
		for i := range n {
			if p.begin() {
				t.Fatalf("polls after %d waits without, want %d", i, n)
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
	if p.streak != 0 || polling.Load() < 0 {
		t.Errorf("%+v, %d poll", p, polling.Load())
	}
}

// There is a bound on readers that poll at a time.
func TestPollsAtATime(t *testing.T) {
	before := polling.Add(1) // another reader polls
	defer polling.Add(-1)
	p, q := polls{most: before}, polls{most: before + 1}
	if p.begin() {
		t.Error("polls beyond the bound")
	}
	if !q.begin() {
		t.Fatal("does not poll below the bound")
	}
	q.end(true)
	if never := newPolls(true); never.begin() {
		t.Error("polls though it should never")
	}
}
