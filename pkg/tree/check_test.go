package tree

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// unwilling is a store that does not look into lists.
type unwilling struct{ *memory }

func (unwilling) ContainsIndirect(context.Context, store.Code) (bool, error) {
	return false, &stream.Error{Outcome: stream.OutcomeRejected, Payload: []byte("exception during handler")}
}

// A store that does not look into lists is asked for what is in them, however few
// requests may be under way.
func TestCheckWithoutLists(t *testing.T) {
	m := newMemory(t)
	source := t.TempDir()
	for n, name := range []string{"a", "b", "c"} {
		if err := os.WriteFile(filepath.Join(source, name), random(uint64(n), 3<<20), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	root, err := Put(t.Context(), m, source, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, most := range []int{1, 2, 0} {
		var p Progress
		if err := Check(ctx, unwilling{m}, root, Options{MaxBlocks: most, Progress: &p}); err != nil {
			t.Errorf("with %d requests at a time: %v", most, err)
		}
	}
	empty := newMemory(t)
	for code, err := range m.Codes(ctx, store.Code{}) {
		if err != nil {
			t.Fatal(err)
		}
		if data, _ := m.Memory.Get(ctx, code); len(data) < MinChunk { // directories and lists
			empty.put(t, data)
		}
	}
	if err := Check(ctx, unwilling{empty}, root, Options{MaxBlocks: 1}); !errors.Is(err, store.ErrMissing) {
		t.Errorf("without the files' blocks: %v, want ErrMissing", err)
	}
}
