package storage_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"go.uber.org/fx"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/pktsvc/pktsvc/pkg/server"
	"github.com/pktsvc/pktsvc/pkg/server/storage"
	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/disk"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// app is a server of a store that is started.
type app struct {
	*fx.App
	packets *server.PacketServer
}

func start(t *testing.T, settings *storage.Settings) (app, error) {
	t.Helper()
	cfg := server.Config{Listen: []string{"tcp://127.0.0.1:0"}, Services: []server.Settings{settings}}
	a := app{}
	a.App = server.New(cfg, storage.Module(0, settings), fx.Populate(&a.packets),
		fx.Decorate(func(*zap.Logger) *zap.Logger { return zap.NewNop() }))
	if err := a.Err(); err != nil {
		return a, err
	}
	return a, a.Start(t.Context())
}

func (a app) stop(t *testing.T) {
	t.Helper()
	if err := a.Stop(context.Background()); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func (a app) client(t *testing.T, class store.Class) (*store.Client, *stream.Conn) {
	t.Helper()
	nc, err := net.Dial("tcp", strings.TrimPrefix(a.packets.Addresses()[0], "tcp://"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := stream.NewConn(nc, stream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return store.NewClient(conn, class), conn
}

// What was added is there after a restart, whichever way it is synced.
func TestStoreOnDisk(t *testing.T) {
	for _, sync := range []string{"", "always"} {
		settings := &storage.Settings{Data: t.TempDir(), Hash: "sha256", Sync: sync}
		var code store.Code
		for restart := range 2 {
			a, err := start(t, settings)
			if err != nil {
				t.Fatal(err)
			}
			c, conn := a.client(t, store.SHA256)
			if restart == 0 {
				code, err = c.Add(t.Context(), []byte("kept"))
			}
			if err != nil {
				t.Fatal(err)
			}
			if data, err := c.Get(t.Context(), code); err != nil || string(data) != "kept" {
				t.Errorf("Get, restart %d: %q, %v", restart, data, err)
			}
			if _, err := start(t, settings); !errors.Is(err, disk.ErrInUse) {
				t.Errorf("a second server of the same folder: %v, want ErrInUse", err)
			}
			conn.Close()
			a.stop(t)
		}
		if _, err := start(t, &storage.Settings{Data: settings.Data, Hash: "sha1"}); !errors.Is(err, store.ErrOtherClass) {
			t.Errorf("another class: %v, want ErrOtherClass", err)
		}
	}
}

func TestStoreInMemory(t *testing.T) {
	a, err := start(t, &storage.Settings{Backend: "memory:"})
	if err != nil {
		t.Fatal(err)
	}
	defer a.stop(t)
	c, conn := a.client(t, store.DefaultClass)
	defer conn.Close()
	if _, err := c.Add(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

func TestSettings(t *testing.T) {
	for _, test := range []struct {
		settings storage.Settings
		want     []string // in the error; none: it is valid
	}{
		{settings: storage.Settings{}},
		{settings: storage.Settings{Backend: "memory:", Hash: "sha1", Sync: "always"}},
		{settings: storage.Settings{Backend: "s3://bucket/prefix?endpoint=http://127.0.0.1:9000"}},
		{storage.Settings{Hash: "md5", Sync: "no", Backend: "disk", Cache: -1}, []string{`hash is "md5"`, `sync is "no", want flush or always`, `block_cache is "-1"`}},
		{storage.Settings{Backend: "disk:/elsewhere"}, []string{`backend is "disk:/elsewhere", want disk:, memory:, or s3://`}},
		{storage.Settings{Backend: "s3://"}, []string{"backend is"}},
		{storage.Settings{Backend: "s3://user:secret@bucket"}, []string{"credentials do not belong"}},
	} {
		err := server.Config{Services: []server.Settings{&test.settings}}.Validate()
		if (err == nil) != (len(test.want) == 0) {
			t.Errorf("%+v: %v", test.settings, err)
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v, want %s", test.settings, err, want)
			}
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error has a secret in it: %v", err)
		}
	}
}
