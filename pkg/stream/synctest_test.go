package stream

import (
	"context"
	"testing"
	"testing/synctest"
)

// Users test their own code in bubbles of testing/synctest: nothing that a
// connection keeps for later may cross from one bubble to another.
func TestConnectionsInSeveralBubbles(t *testing.T) {
	for range 4 {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			a, _ := connected(t, "pipe", Options{}, Options{Handler: echo})
			for range 10 {
				if _, err := a.Call(ctx, Request{Type: 1, Payload: []byte("bubble")}); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
