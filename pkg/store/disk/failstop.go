package disk

import (
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// failStop is a file system in which the first write that goes wrong is the last: the
// engine never learns of it. It would try again for ever, panic with its locks in
// disorder, or sync a second time and believe that. What the disk has by then is what
// a loss of power would have left.
//
// Errors of reads, and of the removal of files, do get to the engine.
type failStop struct {
	vfs.FS
	failure *failure
	armed   *atomic.Bool // not while the engine is being opened, which returns those errors
}

// Unwrap implements [vfs.FS].
func (fs failStop) Unwrap() vfs.FS { return fs.FS }

// check freezes where there is an error, or returns it.
func (fs failStop) check(what, name string, err error) error {
	if err != nil && fs.armed.Load() {
		fs.failure.freeze(fmt.Errorf("%s %s: %w", what, name, err))
	}
	return err
}

func (fs failStop) file(what, name string, f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, fs.check(what, name, err)
	}
	return failStopFile{f, fs, name}, nil
}

// Create implements [vfs.FS].
func (fs failStop) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, category)
	return fs.file("create", name, f, err)
}

// ReuseForWrite implements [vfs.FS].
func (fs failStop) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.ReuseForWrite(oldname, newname, category)
	return fs.file("use again", newname, f, err)
}

// OpenReadWrite implements [vfs.FS].
func (fs failStop) OpenReadWrite(name string, category vfs.DiskWriteCategory, options ...vfs.OpenOption) (vfs.File, error) {
	f, err := fs.FS.OpenReadWrite(name, category, options...)
	return fs.file("open", name, f, err)
}

// OpenDir implements [vfs.FS]. Directories are opened to be synced.
func (fs failStop) OpenDir(name string) (vfs.File, error) {
	f, err := fs.FS.OpenDir(name)
	return fs.file("open", name, f, err)
}

// Rename implements [vfs.FS].
func (fs failStop) Rename(oldname, newname string) error {
	return fs.check("rename", oldname, fs.FS.Rename(oldname, newname))
}

type failStopFile struct {
	vfs.File
	fs   failStop
	name string
}

func (f failStopFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	return n, f.fs.check("write", f.name, err)
}

func (f failStopFile) WriteAt(p []byte, offset int64) (int, error) {
	n, err := f.File.WriteAt(p, offset)
	return n, f.fs.check("write", f.name, err)
}

func (f failStopFile) Sync() error { return f.fs.check("sync", f.name, f.File.Sync()) }

func (f failStopFile) SyncData() error { return f.fs.check("sync", f.name, f.File.SyncData()) }

func (f failStopFile) SyncTo(length int64) (bool, error) {
	full, err := f.File.SyncTo(length)
	return full, f.fs.check("sync", f.name, err)
}

func (f failStopFile) Close() error { return f.fs.check("close", f.name, f.File.Close()) }

// Preallocate implements [vfs.File]. Only logs would be, each as large as a buffer may
// grow, whatever is written to it: most of a small disk.
func (f failStopFile) Preallocate(int64, int64) error { return nil }
