package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/storetest"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// cutsVariable says how many losses of power are simulated, and seedVariable where
// the seeds begin.
const (
	cutsVariable = "PKTSVC_DISK_CUTS"
	seedVariable = "PKTSVC_DISK_SEED"
)

func numberOf(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// What was answered as durable is there after a loss of power, at whatever moment it
// comes and whatever else of the unsynced data has reached the disk.
func TestPowerCuts(t *testing.T) {
	cuts, first := numberOf(t, cutsVariable, 100), numberOf(t, seedVariable, 1)
	var blocks, entries, ordered int
	for seed := first; seed < first+cuts; seed++ {
		cut := cutPower(t, uint64(seed)) //nolint:gosec // any number does
		if files, _ := cut.disk.List("store"); slices.ContainsFunc(files, func(name string) bool { return strings.HasSuffix(name, ".blob") }) {
			ordered++
		}
		cut.check(t)
		blocks += len(cut.durable)
		entries += cut.durableEntries()
		if t.Failed() {
			t.Fatalf("seed %d: run %s=%d %s=1 go test -run TestPowerCuts to see it again, perhaps", seed, seedVariable, seed, cutsVariable)
		}
	}
	t.Logf("seeds %d to %d", first, first+cuts-1)
	t.Logf("guarantee: TestPowerCuts %d cuts, %d of them with more than the log on the disk; %d blocks and %d entries were answered as durable",
		cuts, ordered, blocks, entries)
	if blocks == 0 || entries == 0 {
		t.Error("nothing was durable, so nothing was checked")
	}
}

// powerCut is a load, and what the disk had when the power went.
type powerCut struct {
	always bool // SyncAlways

	mu       sync.Mutex
	tried    map[store.Code][]byte // what may be there
	answered map[store.Code]bool
	durable  map[store.Code]bool // what must be there
	entries  [writers]writerEntries

	disk *vfs.MemFS    // after the cut; nil before
	cut  chan struct{} // closed when the power goes
}

// writerEntries counts those of one writer, who appends one after another.
type writerEntries struct{ tried, answered, durable int }

const (
	writers = 4
	archive = store.ArchiveName("all")
)

func (p *powerCut) durableEntries() (n int) {
	for _, e := range p.entries {
		n += e.durable
	}
	return n
}

// cutPower puts blocks and entries from several goroutines until, at one of the
// engine's writes to its files, the power goes.
func cutPower(t *testing.T, seed uint64) *powerCut {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 0))
	p := &powerCut{
		always: rng.IntN(3) == 0,
		tried:  make(map[store.Code][]byte), answered: make(map[store.Code]bool), durable: make(map[store.Code]bool),
		cut: make(chan struct{}),
	}
	kept := [...]int{0, 100, 1 + rng.IntN(99)}[rng.IntN(3)]
	var left atomic.Int64
	left.Store(1 << 40) // it does not go while the store is being opened
	disk := vfs.NewCrashableMem()
	var cut *powerCut
	fs := injecting(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && left.Add(-1) == 0 {
			p.mu.Lock()
			defer p.mu.Unlock()
			// In this order: what is answered after the copy need not be on the disk.
			cut = &powerCut{tried: maps.Clone(p.tried), durable: maps.Clone(p.durable), entries: p.entries}
			cut.disk = disk.CrashClone(vfs.CrashCloneCfg{
				UnsyncedDataPercent: kept, RNG: rand.New(rand.NewPCG(seed, 1<<32)),
			})
			close(p.cut)
		}
		return nil
	}))
	s, err := Open(Options{Dir: "store", Class: store.BLAKE3, Buffer: 1 << 20, Cache: 1 << 20, fs: fs})
	if err != nil {
		t.Fatal(err)
	}
	service := store.NewService(s, store.Options{SyncAlways: p.always})
	client, done := connect(t, service)
	left.Store(1 + rng.Int64N(200))
	var all sync.WaitGroup
	for i := range writers {
		r := rand.New(rand.NewPCG(seed, uint64(i)+1)) //nolint:gosec // as above
		all.Go(func() { p.write(t, client, i, r) })
	}
	all.Wait()
	done()
	if err := service.Close(); err != nil {
		t.Errorf("seed %d: Close: %v", seed, err)
	}
	if cut == nil {
		t.Fatalf("seed %d: the power never went", seed)
	}
	return cut
}

// connect returns a client of a service, and what ends the connection.
func connect(t *testing.T, service *store.Service) (*store.Client, func()) {
	t.Helper()
	near, far := net.Pipe()
	server, err := stream.NewConn(far, stream.Options{Handler: service.Mux()})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := stream.NewConn(near, stream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return store.NewClient(conn, store.BLAKE3), func() {
		conn.Close()
		server.Close()
		<-conn.Done()
		<-server.Done()
	}
}

// write is one of those who put, append and flush.
func (p *powerCut) write(t *testing.T, client *store.Client, writer int, r *rand.Rand) {
	ctx := context.Background()
	for n := 0; ; n++ {
		select {
		case <-p.cut:
			return
		default:
		}
		var err error
		switch r.IntN(40) {
		case 0, 1, 2, 3, 4, 5, 6, 7:
			err = p.flush(ctx, client)
		case 8, 9, 10, 11, 12, 13:
			err = p.append(ctx, client, writer)
		case 14, 15, 16, 17: // one that another may have put or be putting
			err = p.add(ctx, client, storetest.Block(r.IntN(50), 2000))
		case 18: // one that is too large for the engine's usual way
			err = p.add(ctx, client, storetest.Block(1000*(writer+1)+n, 600<<10+r.IntN(1<<19)))
		default:
			err = p.add(ctx, client, storetest.Block(1_000_000*(writer+1)+n, r.IntN(30<<10)))
		}
		if err != nil {
			t.Error(err)
			return
		}
	}
}

func (p *powerCut) add(ctx context.Context, client *store.Client, data []byte) error {
	code := store.BLAKE3.Sum(data)
	p.mu.Lock()
	p.tried[code] = data
	p.mu.Unlock()
	if _, err := client.Add(ctx, data); err != nil {
		return fmt.Errorf("Add: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answered[code] = true
	if p.always {
		p.durable[code] = true
	}
	return nil
}

func (p *powerCut) append(ctx context.Context, client *store.Client, writer int) error {
	p.mu.Lock()
	n := p.entries[writer].tried
	p.entries[writer].tried++
	p.mu.Unlock()
	entry := store.Entry{When: float64(n), Dirent: store.Dirent{Name: fmt.Sprint(writer)}}
	if err := client.Update(ctx, archive, entry); err != nil {
		return fmt.Errorf("Update: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.entries[writer].answered++
	if p.always {
		p.entries[writer].durable++
	}
	return nil
}

func (p *powerCut) flush(ctx context.Context, client *store.Client) error {
	p.mu.Lock()
	answered, entries := maps.Clone(p.answered), p.entries
	p.mu.Unlock()
	if err := client.Flush(ctx); err != nil {
		return fmt.Errorf("Flush: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.Copy(p.durable, answered)
	for i := range entries {
		p.entries[i].durable = max(p.entries[i].durable, entries[i].answered)
	}
	return nil
}

// check opens what the disk had, and once more what it has after that.
func (p *powerCut) check(t *testing.T) {
	t.Helper()
	for range 2 {
		s, err := Open(Options{Dir: "store", Class: store.BLAKE3, Buffer: 1 << 20, Cache: 1 << 20, fs: p.disk})
		if err != nil {
			t.Errorf("open after the cut: %v", err)
			return
		}
		p.checkBlocks(t, s)
		p.checkEntries(t, s)
		disk := p.disk.CrashClone(vfs.CrashCloneCfg{}) // now nothing but what was synced
		if err := s.Close(); err != nil {
			t.Errorf("close after the cut: %v", err)
		}
		p.disk = disk
	}
}

func (p *powerCut) checkBlocks(t *testing.T, s *Store) {
	t.Helper()
	ctx := t.Context()
	var blocks, size uint64
	for code, err := range s.Codes(ctx, store.Code{}) {
		if err != nil {
			t.Errorf("Codes: %v", err)
			return
		}
		data, err := s.Get(ctx, code)
		if err != nil || store.BLAKE3.Sum(data) != code {
			t.Errorf("%v is listed; got %d bytes with the hash %v, %v", code, len(data), store.BLAKE3.Sum(data), err)
		}
		if want, ok := p.tried[code]; !ok || !bytes.Equal(data, want) {
			t.Errorf("%v, %d bytes, was never put", code, len(data))
		}
		blocks++
		size += uint64(len(data))
	}
	for code := range p.durable {
		data, err := s.Get(ctx, code)
		if err != nil || !bytes.Equal(data, p.tried[code]) {
			t.Errorf("%v, %d bytes, was answered as durable: got %d bytes, %v", code, len(p.tried[code]), len(data), err)
		}
	}
	if usage := s.Usage(); usage != (store.Usage{Blocks: blocks, Bytes: size}) {
		t.Errorf("usage %+v, listed are %d blocks of %d bytes", usage, blocks, size)
	}
	if keys := keysOf(t, s, kindBlock); keys != blocks {
		t.Errorf("%d blocks are listed, and %d are there", blocks, keys)
	}
}

// keysOf counts the keys of a kind.
func keysOf(t *testing.T, s *Store, kind byte) uint64 {
	t.Helper()
	n, err := read(t.Context(), s, []byte{kind}, above(kind), func(at *pebble.Iterator) (n uint64, _ error) {
		for valid := at.First(); valid; valid = at.Next() {
			n++
		}
		return n, at.Error()
	})
	if err != nil {
		t.Errorf("keys of %c: %v", kind, err)
	}
	return n
}

// checkEntries checks that each writer's entries are there from the first on, in order,
// and as many as must be.
func (p *powerCut) checkEntries(t *testing.T, s *Store) {
	t.Helper()
	a, _ := s.Archives()
	var found [writers]int
	var last []byte
	for bytes, err := range a.Entries(t.Context(), archive) {
		var e store.Entry
		if err == nil {
			err = e.UnmarshalBinary(bytes)
		}
		writer, nameErr := strconv.Atoi(e.Dirent.Name)
		if err = errors.Join(err, nameErr); err != nil {
			t.Errorf("entries: %v", err)
			return
		}
		if int(e.When) != found[writer] {
			t.Errorf("writer %d: entry %v where no. %d should be", writer, e.When, found[writer])
		}
		found[writer]++
		last = bytes
	}
	for i, e := range p.entries {
		if found[i] < e.durable || found[i] > e.tried {
			t.Errorf("writer %d: %d entries; %d were answered as durable, %d appended", i, found[i], e.durable, e.tried)
		}
	}
	got, err := a.Last(t.Context(), archive)
	if last == nil && errors.Is(err, store.ErrMissing) {
		return
	}
	if err != nil || !bytes.Equal(got, last) {
		t.Errorf("the last entry is %q, %v, want %q", got, err, last)
	}
}

// A closed store has everything on the disk.
func TestCloseIsDurable(t *testing.T) {
	disk := vfs.NewCrashableMem()
	o := Options{Dir: "store", Class: store.SHA1, fs: disk}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	code := storetest.Put(t, s, storetest.Block(1, 5000))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	o.fs = disk.CrashClone(vfs.CrashCloneCfg{})
	s, err = Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if data, err := s.Get(t.Context(), code); err != nil || !bytes.Equal(data, storetest.Block(1, 5000)) {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}
