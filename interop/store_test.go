package interop_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// storeAsked serves a store to one run of store_client.py with a scenario, to its
// orderly end, and returns how many requests that made.
func storeAsked(t *testing.T, b store.Backend, scenario string, args ...string) uint64 {
	t.Helper()
	path := socketPath(t)
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	r := runScript(t, python(t), append([]string{"store_client.py", scenario, path, b.Class().String()}, args...)...)
	_ = ln.(*net.UnixListener).SetDeadline(time.Now().Add(limit))
	nc, err := ln.Accept()
	if err != nil {
		t.Fatalf("%v\n%s", err, &r.stderr)
	}
	defer nc.Close()
	service := store.NewService(b, store.Options{})
	conn, err := stream.NewConn(nc, stream.Options{Handler: service.Mux()})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx := within(t)
	select {
	case <-conn.Received():
	case <-ctx.Done():
		t.Fatalf("it does not end\n%s", &r.stderr)
	}
	if err := conn.Shutdown(ctx); err != nil || conn.Reason() != stream.ReasonShutdown {
		t.Errorf("the end: %v, %v", conn.Reason(), err)
	}
	r.ends(t, 0)
	if err := service.Close(); err != nil {
		t.Error(err)
	}
	s := conn.Stats()
	if s.Unanswered != 0 || s.RequestsReceived != s.ResponsesSent {
		t.Errorf("%+v", s)
	}
	return s.RequestsReceived
}

// The recorded sessions of the package's store, asked by the package's connection.
func TestPythonAsksStoreAsRecorded(t *testing.T) {
	text, err := os.ReadFile("../pkg/store/testdata/store.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		Sessions []struct {
			Hashname, What string
			Exchanges      []struct{}
		}
	}
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	requests := uint64(0)
	for i, session := range vectors.Sessions {
		t.Run(session.Hashname+" "+session.What, func(t *testing.T) {
			var b store.Backend = memory(t, session.Hashname)
			if strings.Contains(session.What, "that has none") {
				b = withoutArchives{b}
			}
			asked := storeAsked(t, b, "session", strconv.Itoa(i))
			if asked != uint64(len(session.Exchanges)) {
				t.Errorf("%d requests, recorded are %d", asked, len(session.Exchanges))
			}
			requests += asked
		})
	}
	t.Logf("guarantee: TestPythonAsksStoreAsRecorded %d requests", requests)
}

func memory(t *testing.T, class string) *store.Memory {
	t.Helper()
	c, err := store.ParseClass(class)
	if err != nil {
		t.Fatal(err)
	}
	return store.NewMemory(c, 0)
}

type withoutArchives struct{ store.Backend }

func (withoutArchives) Archives() (store.Archives, error) { return nil, store.ErrNoArchives }

// A thousand Adds in flight, of which the first is answered last.
func TestPythonAddsOutOfOrder(t *testing.T) {
	for _, class := range store.ClassNames() {
		t.Run(class, func(t *testing.T) {
			storeAsked(t, &untilFlush{memory(t, class), make(chan struct{})}, "held")
		})
	}
}

// untilFlush keeps the Put of "block 0" until the first Sync, which is that of the
// one flush that the client asks for.
type untilFlush struct {
	*store.Memory
	flushed chan struct{}
}

func (b *untilFlush) Put(ctx context.Context, code store.Code, data []byte) (bool, error) {
	if string(data) == "block 0" {
		select {
		case <-b.flushed:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	return b.Memory.Put(ctx, code, data)
}

func (b *untilFlush) Sync(context.Context) error {
	select {
	case <-b.flushed: // the service's own, at its end
	default:
		close(b.flushed)
	}
	return nil
}

// The program as a store, in memory and on disk, with all hash classes.
func TestPythonAsksStoreProgram(t *testing.T) {
	python(t)
	program := buildProgram(t)
	for _, class := range store.ClassNames() {
		for _, backend := range []string{"memory:", "disk:"} {
			for _, scenario := range []string{"requests", "archives", "pipeline"} {
				t.Run(class+" "+backend+" "+scenario, func(t *testing.T) {
					args := []string{"--service", "store", "--hash", class, "--backend", backend, "--data", t.TempDir()}
					path, end := serveProgram(t, program, args...)
					runScript(t, python(t), "store_client.py", scenario, path, class).ends(t, 0)
					end()
					if backend != "disk:" || scenario != "pipeline" {
						return
					}
					path, end = serveProgram(t, program, args...)
					runScript(t, python(t), "store_client.py", "again", path, class).ends(t, 0)
					end()
				})
			}
		}
	}
}

// Our client asks a store on the package's connection.
func TestPythonServesStore(t *testing.T) {
	for _, name := range store.ClassNames() {
		t.Run(name, func(t *testing.T) {
			path := socketPath(t)
			r := runScript(t, python(t), "store_server.py", "serve", path, name)
			class, _ := store.ParseClass(name)
			client, end := storeClient(t, path, class)
			blocks := asksStore(t, client, 1<<20, 2000)
			asksWindows(t, client, blocks)
			asksTrees(t, client)
			asksArchives(t, client)
			end()
			r.ends(t, 0)
		})
	}
}

// storeClient connects to a store. end ends the connection in order.
func storeClient(t *testing.T, path string, class store.Class) (_ *store.Client, end func()) {
	t.Helper()
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := stream.NewConn(nc, stream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); nc.Close() })
	return store.NewClient(conn, class), func() {
		t.Helper()
		if err := conn.Shutdown(within(t)); err != nil || conn.Reason() != stream.ReasonShutdown {
			t.Errorf("the end: %v, %v", conn.Reason(), err)
		}
		nc.Close()
	}
}

// asksStore adds blocks, one of them of some size and many at a time, and gets
// them again. It returns their codes in order.
func asksStore(t *testing.T, c *store.Client, size, many int) []store.Code {
	t.Helper()
	ctx := within(t)
	blocks := map[store.Code]string{}
	for _, text := range []string{"", "hello", strings.Repeat("m", size), "hello"} {
		code, err := c.Add(ctx, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		blocks[code] = text
	}
	var adding []store.Adding
	for i := range many {
		text := fmt.Sprintf("block %d", i)
		one, err := c.Submit(ctx, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		blocks[one.Code] = text
		adding = append(adding, one)
	}
	for _, one := range adding {
		if err := one.Wait(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Flush(ctx); err != nil {
		t.Error(err)
	}
	var codes []store.Code
	for code, text := range blocks {
		data, err := c.Get(ctx, code)
		if err != nil || string(data) != text {
			t.Fatalf("%v: %.20q, %v; want %.20q", code, data, err, text)
		}
		codes = append(codes, code)
	}
	sortCodes(codes)
	if there, err := c.Contains(ctx, codes[0]); err != nil || !there {
		t.Errorf("contains: %v, %v", there, err)
	}
	if _, sent, err := c.AddMissing(ctx, []byte("hello")); err != nil || sent {
		t.Errorf("what is there is sent: %v, %v", sent, err)
	}
	missing := c.Class().Sum([]byte("missing"))
	if _, err := c.Get(ctx, missing); !errors.Is(err, store.ErrMissing) {
		t.Errorf("get of a missing block: %v", err)
	}
	if there, err := c.Contains(ctx, missing); err != nil || there {
		t.Errorf("contains a missing block: %v, %v", there, err)
	}
	return codes
}
