package instrument_test

import (
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/instrument"
)

// A store in memory whose registry tells how often its blocks were there already.
func Example() {
	registry := prometheus.NewRegistry()
	observed, err := instrument.New(registry, instrument.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	backend := observed.Backend(store.NewMemory(store.DefaultClass, 1<<30))
	service := store.NewService(backend, observed.Options(store.Options{}))
	defer service.Close()

	data := []byte("a block")
	for range 3 { // as clients do by way of service.Mux
		if _, err := backend.Put(context.Background(), store.DefaultClass.Sum(data), data); err != nil {
			fmt.Println(err)
		}
	}

	families, err := registry.Gather()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range families {
		if f.GetName() == "pktsvc_store_puts_total" {
			for _, m := range f.GetMetric() {
				fmt.Println(m.GetLabel()[0].GetValue(), m.GetCounter().GetValue())
			}
		}
	}
	// Output:
	// new 1
	// present 2
}
