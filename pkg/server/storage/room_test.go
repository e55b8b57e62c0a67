package storage

import (
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
