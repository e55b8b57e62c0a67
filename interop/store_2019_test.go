package interop_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// classes2019 are the hash classes of the published store.
var classes2019 = []store.Class{store.SHA1, store.SHA256}

// The published store's client class asks the program.
func TestPublishedStoreAsks(t *testing.T) {
	python := interpreter(t, "-2019")
	program := buildProgram(t)
	for _, class := range classes2019 {
		t.Run(class.String(), func(t *testing.T) {
			path, end := serveProgram(t, program, "--service", "store", "--hash", class.String(), "--data", t.TempDir())
			runScript(t, python, "store_2019.py", "client", path, class.String()).ends(t, 0)
			end()
		})
	}
}

// Our client asks the published store's server class. What that does not know is
// refused, and the connection goes on.
func TestPublishedStoreServes(t *testing.T) {
	for _, class := range classes2019 {
		t.Run(class.String(), func(t *testing.T) {
			path := socketPath(t)
			r := runScript(t, interpreter(t, "-2019"), "store_2019.py", "serve", path, class.String())
			client, end := storeClient(t, path, class)
			if line, err := r.stdout.ReadString('\n'); line != "serving\n" {
				t.Fatalf("%q, %v\n%s", line, err, &r.stderr)
			}
			// It never answers a Get of a block that it had to read in several parts.
			codes := asksStore(t, client, 16<<10, 300)
			ctx := within(t)
			for _, n := range []int{1, 64, len(codes)} {
				got, err := client.HashCodes(ctx, store.Code{}, false, uint64(n))
				if err != nil || !slices.Equal(got, codes[:n]) {
					t.Errorf("%d codes: %d, %v", n, len(got), err)
				}
				sum, err := client.Checksum(ctx, store.Code{}, false, uint64(n))
				if err != nil || sum != store.ChecksumOf(class, codes[:n]) {
					t.Errorf("checksum of %d codes: %+v, %v", n, sum, err)
				}
			}
			if _, err := client.HashCodes(ctx, codes[0], true, 1); !errors.Is(err, stream.ErrRejected) {
				t.Errorf("with a start, whose flag is another: %v", err)
			}
			if _, err := client.Length(ctx); !errors.Is(err, stream.ErrRejected) {
				t.Errorf("length: %v", err)
			}
			if _, err := client.Get(ctx, codes[0]); err != nil {
				t.Errorf("it does not go on: %v", err)
			}
			end()
			r.ends(t, 0)
		})
	}
}
