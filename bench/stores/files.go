package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// files are plain files, one for each block, in one folder.
type files struct {
	dir    string
	always bool
	folder *os.File
}

func (*files) name() string           { return "plain files" }
func (*files) durabilities() []string { return []string{whenFlushed, whenAnswered} }

func (f *files) start(dir, durability string) (err error) {
	f.dir, f.always = dir, durability == whenAnswered
	f.folder, err = os.Open(dir)
	return err
}

func (f *files) stop() error { return f.folder.Close() }

func (f *files) path(n uint64) string { return filepath.Join(f.dir, strconv.FormatUint(n, 16)) }

func (f *files) add(_ context.Context, n uint64, block []byte) error {
	file, err := os.OpenFile(f.path(n), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.Write(block); err != nil || !f.always {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	return f.folder.Sync() // or its name may be gone
}

// flush syncs the file system at once, which is quicker than every file by itself.
func (f *files) flush(context.Context) error { return unix.Syncfs(int(f.folder.Fd())) }

func (f *files) get(_ context.Context, n uint64, block []byte) error {
	file, err := os.Open(f.path(n))
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.ReadAt(block, 0)
	return err
}
