package stream

import (
	"context"
	"sync"
	"testing"
)

// Whoever keeps the context of a handler finds that handler's request in it for ever,
// whatever is used again meanwhile.
func TestContextOutlivesItsHandler(t *testing.T) {
	const requests = 200
	var mu sync.Mutex
	kept := make(map[uint64]context.Context)
	m := new(Mux)
	m.Inline(0, "Keep", HandlerFunc(func(ctx context.Context, req Request) (Response, error) {
		mu.Lock()
		defer mu.Unlock()
		kept[req.Tag] = ctx
		return Response{}, nil
	}))
	a, b := connected(t, "tcp", Options{}, Options{Handler: m})
	var calls []*Call
	for i := range uint64(requests) {
		call, err := a.Submit(t.Context(), Request{Flags: i, Payload: []byte("some")})
		if err != nil {
			t.Fatal(err)
		}
		calls = append(calls, call)
	}
	for i, call := range calls {
		if _, err := call.Wait(deadline(t)); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		ctx := kept[call.Tag()]
		mu.Unlock()
		got, ok := RequestFromContext(ctx)
		if !ok || got.Conn != b || got.Tag != call.Tag() || got.Flags != uint64(i) || got.Payload != nil {
			t.Fatalf("%d: %+v, %t", i, got, ok)
		}
		if ctx.Err() != nil {
			t.Fatalf("%d: it ended with its handler: %v", i, ctx.Err())
		}
	}
	b.Close()
	for _, ctx := range kept {
		<-ctx.Done()
	}
}
