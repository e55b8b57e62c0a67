package cached_test

import (
	"context"
	"fmt"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/cached"
)

func Example() {
	ctx := context.Background()
	b := cached.New(store.NewMemory(store.SHA256, 0), 1<<20) // or any other backend
	data := []byte("hello")
	code := b.Class().Sum(data)
	if _, err := b.Put(ctx, code, data); err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		if _, err := b.Get(ctx, code); err != nil {
			fmt.Println(err)
			return
		}
	}
	s := b.Stats()
	fmt.Println(s.Hits, "hits,", s.Misses, "misses")
	// Output: 2 hits, 1 misses
}
