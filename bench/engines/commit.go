package main

import (
	"context"
	"sync"
)

// commit shares syncs among those who wait for one, as the store's service does.
type commit struct {
	sync func(context.Context) error

	mu      sync.Mutex
	running bool
	next    *group
}

type group struct {
	done chan struct{}
	err  error
}

func (c *commit) flush() error {
	c.mu.Lock()
	if c.next == nil {
		c.next = &group{done: make(chan struct{})}
	}
	mine := c.next
	if !c.running {
		c.running = true
		go c.run()
	}
	c.mu.Unlock()
	<-mine.done
	return mine.err
}

func (c *commit) run() {
	for {
		c.mu.Lock()
		g := c.next
		c.next = nil
		if g == nil {
			c.running = false
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		g.err = c.sync(context.Background())
		close(g.done)
	}
}
