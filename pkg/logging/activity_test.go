package logging

import (
	"context"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

func TestActivity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, lines := newLog(zap.InfoLevel, Options{Activity: 10 * time.Second})
		c, s := connect(t, stream.Options{Observer: log}, stream.Options{Observer: log, Handler: handler})
		idle, _ := connect(t, stream.Options{Name: "idle", Observer: log}, stream.Options{Name: "other"})
		log.Start()
		log.Start() // once is enough
		pass := func() {
			lines.TakeAll()
			time.Sleep(10 * time.Second) // of the test's own clock
			synctest.Wait()
		}
		time.Sleep(time.Second) // off the ticks
		pass()
		if got := lines.Len(); got != 0 {
			t.Errorf("lines without activity: %v", messages(lines))
		}

		for range 3 {
			if err := ask(t.Context(), c, stream.Request{Type: typeEcho, Payload: make([]byte, 100)}); err != nil {
				t.Fatal(err)
			}
		}
		pass()
		total, _ := one(t, lines, "activity in total")
		wantFields(t, total, map[string]any{
			"rq_in": uint64(3), "rq_in_answered": uint64(3), "rq_out": uint64(3), "rq_out_answered": uint64(3),
			"in_flight": int64(0), "serving": int64(0), "stalled": false,
			"connections": int64(3), "active": int64(2), "opened": int64(0), "closed": int64(0), "interval": 10 * time.Second,
		})
		if fields := total.ContextMap(); fields["bytes_in"].(uint64) < 600 {
			t.Errorf("bytes_in %v, want those of six packets with 100 bytes each", fields["bytes_in"])
		}
		if n := lines.FilterMessage("activity").Len(); n != 2 {
			t.Errorf("%d lines of connections, want those of c and s", n)
		}
		wantFields(t, lines.FilterField(zap.String("conn", "s")).All()[0], map[string]any{"rq_in": uint64(3), "rq_out": uint64(0)})

		pass()
		if got := lines.Len(); got != 0 {
			t.Errorf("lines without new activity: %v", messages(lines))
		}

		// What a connection did that has ended is in the total.
		if err := ask(t.Context(), c, stream.Request{Type: typeEcho}); err != nil {
			t.Fatal(err)
		}
		c.Close()
		s.Close()
		pass()
		total, _ = one(t, lines, "activity in total")
		wantFields(t, total, map[string]any{"rq_in": uint64(1), "rq_out": uint64(1), "connections": int64(1), "active": int64(0), "closed": int64(2)})

		// Stop writes what is left, and no more follows.
		if err := ask(t.Context(), idle, stream.Request{Type: typeEcho}); err == nil {
			t.Fatal("the other end has no handler")
		}
		lines.TakeAll()
		log.Stop()
		log.Stop()
		one(t, lines, "activity in total")
		if err := ask(t.Context(), idle, stream.Request{Type: typeEcho}); err == nil {
			t.Fatal("the other end has no handler")
		}
		pass()
		if got := lines.FilterMessage("activity in total").Len(); got != 0 {
			t.Errorf("%d lines after Stop", got)
		}
		log.Start() // again
		pass()
		one(t, lines, "activity in total")
		log.Stop()
	})
}

// A connection on which nothing moves is shown as long as bytes wait.
func TestActivityShowsStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, lines := newLog(zap.InfoLevel, Options{Activity: 10 * time.Second})
		mine, peer := net.Pipe() // the peer does not read
		defer mine.Close()
		defer peer.Close()
		c, err := stream.NewConn(mine, stream.Options{Name: "stuck", Observer: log, WriteTimeout: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Submit(t.Context(), stream.Request{Type: 1}); err != nil {
			t.Fatal(err)
		}
		log.Start()
		defer log.Stop()
		for range 3 {
			lines.TakeAll()
			time.Sleep(10*time.Second + time.Millisecond) // of the test's own clock
			synctest.Wait()
			line, _ := one(t, lines, "activity")
			wantFields(t, line, map[string]any{"conn": "stuck", "stalled": true, "in_flight": int64(1)})
		}
	})
}

// The number of lines does not grow with the number of connections.
func TestActivityIsBounded(t *testing.T) {
	for _, limit := range []int{-1, 3} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, lines := newLog(zap.InfoLevel, Options{Activity: time.Second, ActivityConns: limit})
				for i := range 8 {
					c, _ := connect(t,
						stream.Options{Name: fmt.Sprint("c", i), Observer: log}, stream.Options{Name: "s", Handler: handler})
					for range i + 1 {
						if err := ask(context.Background(), c, stream.Request{Type: typeEcho}); err != nil {
							t.Fatal(err)
						}
					}
				}
				log.Start()
				log.Stop()
				line, _ := one(t, lines, "activity in total")
				wantFields(t, line, map[string]any{"active": int64(8)})
				shown := lines.FilterMessage("activity").All()
				if len(shown) != max(0, limit) {
					t.Fatalf("%d lines of connections, want %d", len(shown), max(0, limit))
				}
				for i, line := range shown {
					wantFields(t, line, map[string]any{"conn": fmt.Sprint("c", 7-i)})
				}
			})
		})
	}
}

func TestNoActivityWithoutInterval(t *testing.T) {
	log, _ := newLog(zap.InfoLevel, Options{})
	log.Start() // starts nothing, as the leak check sees
	if log.activity.stop != nil {
		t.Error("it runs")
	}
	log.Stop()
}
