package storage

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// housed is a backend on a disk.
type housed struct {
	store.Backend
	usage store.DiskUsage
}

func (h housed) DiskUsage() store.DiskUsage { return h.usage }

func TestWarnOfLittleRoom(t *testing.T) {
	for _, test := range []struct {
		usage store.DiskUsage
		want  string // begins the warning; empty: there is none
	}{
		{store.DiskUsage{Free: 99, Reserve: 100}, "no block can be added"},
		{store.DiskUsage{Free: 199, Reserve: 100}, "the store is nearly full"},
		{store.DiskUsage{Free: 200, Reserve: 100}, ""},
		{store.DiskUsage{}, ""},
	} {
		core, logs := observer.New(zap.WarnLevel)
		warnOfLittleRoom(housed{usage: test.usage}, zap.New(core))
		got := ""
		for _, entry := range logs.All() {
			got += entry.Message
		}
		if (got == "") != (test.want == "") || !strings.HasPrefix(got, test.want) {
			t.Errorf("%+v: %q, want %q", test.usage, got, test.want)
		}
	}
	warnOfLittleRoom(store.NewMemory(store.SHA1, 0), zap.NewNop())
}

// That the store is full, and no more, is in the log once each.
func TestFullIsLogged(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	log := zap.New(core)
	b, err := newBackend(&Settings{Data: t.TempDir(), Hash: "sha1", Reserve: 1 << 61}, log)
	if err != nil {
		t.Fatal(err)
	}
	logs.TakeAll()
	for n := range 3 {
		data := []byte{byte(n)}
		if _, err := b.Put(t.Context(), store.SHA1.Sum(data), data); !errors.Is(err, store.ErrFull) {
			t.Errorf("Put on a disk that has less than the reserve: %v", err)
		}
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	tellOfRoom(log.Named("store"))(nil)
	var got []string
	for _, e := range logs.All() {
		got = append(got, e.LoggerName+" "+e.Level.String()+" "+e.Message)
	}
	want := []string{
		"store error the store is full, and what is added is refused",
		"store info the store has room again",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
