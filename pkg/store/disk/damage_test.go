package disk

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/storetest"
)

// Whatever byte of a closed store's files is damaged: no block comes with others than
// its own bytes.
func TestDamagedFiles(t *testing.T) {
	const blocks = 70
	disk := vfs.NewCrashableMem()
	o := Options{Dir: "store", Class: store.BLAKE3, Buffer: 1 << 20, fs: disk}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	var codes []store.Code
	for n := range blocks {
		codes = append(codes, storetest.Put(t, s, storetest.Block(n, 100+n*200)))
	}
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := disk.List("store")
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	refused := make(map[string]int) // by the kind of file
	for _, name := range slices.Sorted(slices.Values(files)) {
		kind := name[strings.LastIndexByte(name, '.')+1:]
		if kind != "sst" && kind != "blob" && kind != "log" {
			continue
		}
		for range 8 {
			o.fs = disk.CrashClone(vfs.CrashCloneCfg{})
			what := flip(t, o.fs, "store/"+name, rng)
			refused[kind] += readDamaged(t, o, codes, what)
		}
	}
	t.Logf("reads and opens that were refused, by the kind of the damaged file: %v", refused)
	if refused["sst"] == 0 || refused["blob"] == 0 {
		t.Errorf("no damage was noticed: %v", refused)
	}
}

// Damage to the log is not taken for its end, unless it is close to that: then nothing
// that follows shows that there was more.
func TestDamagedLog(t *testing.T) {
	const blocks = 40
	disk := vfs.NewCrashableMem()
	o := Options{Dir: "store", Class: store.BLAKE3, fs: disk}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	for n := range blocks {
		storetest.Put(t, s, storetest.Block(n, 5000))
		if err := s.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	cut := disk.CrashClone(vfs.CrashCloneCfg{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := cut.List("store")
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	var tried, refused, short int
	for _, name := range files {
		if !strings.HasSuffix(name, ".log") {
			continue
		}
		for range 40 {
			fs := cut.CrashClone(vfs.CrashCloneCfg{})
			o.fs = fs
			flip(t, fs, "store/"+name, rng)
			tried++
			s, err := Open(o)
			if err != nil {
				refused++
				continue
			}
			n, _ := s.Length(t.Context())
			if n < blocks {
				short++
			}
			if n < blocks-13 { // 64 KiB, two of the log's blocks
				t.Errorf("%d blocks are there of %d", n, blocks)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	t.Logf("of %d stores with a damaged log %d were refused, %d had lost something", tried, refused, short)
	if refused == 0 {
		t.Error("no damage was noticed")
	}
}

// flip changes one bit of a file, and says which.
func flip(t *testing.T, fs vfs.FS, name string, rng *rand.Rand) string {
	t.Helper()
	f, err := fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return "nothing"
	}
	at := rng.Int64N(info.Size())
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1 << rng.IntN(8)
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s at %d", name, at)
}

// readDamaged returns how many reads were refused.
func readDamaged(t *testing.T, o Options, codes []store.Code, what string) (refused int) {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		return 1
	}
	told := 0 // by one request at a time
	service := store.NewService(s, store.Options{Corrupt: func(store.Code) { told++ }})
	client, done := connect(t, service)
	for n, code := range codes {
		data, err := client.Get(t.Context(), code)
		if errors.Is(err, store.ErrAnswer) || err == nil && store.BLAKE3.Sum(data) != code {
			t.Errorf("%s: %v came with %d wrong bytes, %v", what, code, len(data), err)
		}
		if err != nil {
			refused++
			mend(t, client, storetest.Block(n, 100+n*200), what)
		}
	}
	done()
	if told != refused {
		t.Errorf("%s: %d reads were refused, and the service was told of %d damaged blocks", what, refused, told)
	}
	if err := service.Close(); err != nil {
		t.Logf("%s: Close: %v", what, err)
	}
	return refused
}

// mend adds a block that is damaged.
func mend(t *testing.T, client *store.Client, data []byte, what string) {
	t.Helper()
	code, err := client.Add(t.Context(), data)
	if err != nil {
		t.Errorf("%s: it is not mended by adding it: %v", what, err)
		return
	}
	if got, err := client.Get(t.Context(), code); !bytes.Equal(got, data) || err != nil {
		t.Errorf("%s: %v came with %d wrong bytes after it was added again, %v", what, code, len(got), err)
	}
}
