package disk

import (
	"testing"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/storetest"
)

func TestBackend(t *testing.T) {
	storetest.TestBackend(t, func(t *testing.T, class store.Class) store.Backend {
		s, err := Open(Options{Dir: t.TempDir(), Class: class})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
