package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// ErrNotStore matches the error of Open where the path is that of a file, or of a
// directory that has files of others. Nothing has been written there.
var ErrNotStore = errors.New("not the directory of a store")

// storeMark begins the name of a file that every store of the engine has from the
// moment that it is one.
const storeMark = "marker.manifest."

// made are the names of what the engine makes before that: a store whose first start
// was interrupted has some of them, and can be begun again.
var made = []string{"LOCK", "MANIFEST-*"}

// checkDirectory refuses a path that is neither free, nor an empty directory, nor a
// store. What a file system has at its root by itself counts as nothing: lost+found, and
// files whose name begins with a dot.
func checkDirectory(files vfs.FS, dir string) error {
	info, err := files.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%w: it is a file; name a directory, or one that can be made", ErrNotStore)
	}
	names, err := files.List(dir)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, storeMark) }) {
		return nil
	}
	if i := slices.IndexFunc(names, isForeign); i >= 0 {
		return fmt.Errorf("%w: it has %.100q, which is not of a store; name an empty directory, or one that can be made", ErrNotStore, names[i])
	}
	return nil
}

func isForeign(name string) bool {
	return name != "lost+found" && !strings.HasPrefix(name, ".") && !slices.ContainsFunc(made, func(pattern string) bool {
		match, err := path.Match(pattern, name)
		return match && err == nil
	})
}
