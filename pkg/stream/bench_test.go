package stream

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// BenchmarkCall echoes over loopback TCP within one process.
func BenchmarkCall(b *testing.B) {
	inline := new(Mux)
	inline.Inline(0, "Echo", echo)
	for _, h := range []struct {
		name    string
		handler Handler
	}{{"goroutine", echo}, {"inline", inline}} {
		for _, callers := range []int{1, 64, 1024} {
			for _, size := range []int{16, 1 << 10, 64 << 10} {
				b.Run(fmt.Sprintf("%s/callers=%d/size=%d", h.name, callers, size), func(b *testing.B) {
					a, _ := connected(b, "tcp", Options{}, Options{Handler: h.handler})
					b.ReportAllocs()
					b.SetBytes(int64(size))
					var left atomic.Int64
					left.Store(int64(b.N))
					b.ResetTimer()
					var wg sync.WaitGroup
					for range callers {
						wg.Go(func() {
							payload, buf := make([]byte, size), make([]byte, 0, size)
							for left.Add(-1) >= 0 {
								resp, err := a.Call(context.Background(), Request{Payload: payload, Buffer: buf})
								if err != nil {
									b.Error(err)
									return
								}
								if len(resp.Payload) != size {
									b.Errorf("got %d bytes", len(resp.Payload))
								}
							}
						})
					}
					wg.Wait()
				})
			}
		}
	}
}
