package object

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/storetest"
)

// listsBackwards answers every request with a list of two blocks in the wrong order.
func listsBackwards(s *Store) fault {
	key := s.blocks.blockPrefix
	return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) bool {
		io.WriteString(w, "<ListBucketResult><Contents><Key>"+key+"b</Key></Contents><Contents><Key>"+key+"a</Key></Contents></ListBucketResult>")
		return true
	}
}

func TestListingOutOfOrder(t *testing.T) {
	f := newFake(t)
	s := f.opened(t, nil)
	f.breakWith(listsBackwards(s))
	if _, err := s.Length(t.Context()); !errors.Is(err, ErrListing) {
		t.Errorf("Length: %v, want ErrListing", err)
	}
}

// An object store may list out of order while something is being written.
func TestListingInOrderAgain(t *testing.T) {
	f := newFake(t)
	s := f.opened(t, nil)
	storetest.Put(t, s, []byte("block"))
	f.breakWith(times(1, listsBackwards(s)))
	if n, err := s.Length(t.Context()); n != 1 || err != nil {
		t.Errorf("Length: %d, %v, want 1", n, err)
	}
}

// An error in the middle of a list ends it, after what came before.
func TestListingFailsInTheMiddle(t *testing.T) {
	f := newFake(t)
	s := f.opened(t, func(o *Options) { o.Tries = 2 })
	const n = pageLength + 10
	f.set(func(objects map[string]thing) {
		for i := range n {
			objects[s.blocks.block(s.Class().Sum(storetest.Block(i, 8)))] = thing{}
		}
	})
	if got, err := s.Length(t.Context()); got != n || err != nil {
		t.Fatalf("Length: %d, %v", got, err)
	}
	f.breakWith(func(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) bool {
		if strings.HasSuffix(r.URL.Query().Get("start-after"), "/") || len(r.URL.Query().Get("start-after")) < len(s.blocks.block(s.Class().Sum(nil))) {
			return false
		}
		return answers(http.StatusInternalServerError, "InternalError")(w, r, serve)
	})
	start, _ := store.NewCode(store.SHA256, make([]byte, 32))
	codes, failures := 0, 0
	for _, err := range s.Codes(t.Context(), start) {
		switch {
		case err != nil:
			failures++
		case failures > 0:
			t.Fatal("a code after an error")
		default:
			codes++
		}
	}
	if codes != pageLength || failures != 1 {
		t.Errorf("%d codes and %d errors, want %d and 1", codes, failures, pageLength)
	}
}
