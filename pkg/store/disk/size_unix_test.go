//go:build unix

package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/storetest"
)

// onDisk is what the files of a directory take of the disk, which may be more than is
// written to them, and how many of them are logs.
func onDisk(t *testing.T, dir string) (size int64, logs int) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := f.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // the engine has removed it meanwhile
		}
		if err != nil {
			t.Fatal(err)
		}
		size += info.Sys().(*syscall.Stat_t).Blocks * 512
		if filepath.Ext(f.Name()) == ".log" {
			logs++
		}
	}
	return size, logs
}

// A small store takes little room, so that it fits a small disk.
func TestSizeOnDisk(t *testing.T) {
	dir := t.TempDir()
	s := opening(t, Options{Dir: dir, Class: store.SHA256})
	if size, _ := onDisk(t, dir); size > 2<<20 {
		t.Errorf("an empty store takes %d bytes, want at most 2 MiB", size)
	}
	const blocks = 320
	for n := range blocks {
		storetest.Put(t, s, storetest.Block(n, 64<<10))
		most := int64(s.Usage().Bytes)*14/10 + buffers*DefaultBuffer //nolint:gosec // it is little
		if size, _ := onDisk(t, dir); size > most {
			t.Fatalf("%d blocks of 64 KiB take %d bytes, want at most %d", n+1, size, most)
		}
	}
	closed(t, s)
}

// Logs that are over are written over, so that there are few, however many there have been.
func TestFewLogs(t *testing.T) {
	dir := t.TempDir()
	s := opening(t, Options{Dir: dir, Class: store.SHA256, Buffer: 1 << 20})
	for n := range 320 {
		storetest.Put(t, s, storetest.Block(n, 64<<10))
	}
	closed(t, s)
	// One for each buffer, and those that the engine keeps to write over them.
	if _, logs := onDisk(t, dir); logs > buffers+buffers+1 {
		t.Errorf("there are %d logs of %d buffers", logs, buffers)
	}
}
