package tree

import (
	"fmt"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// maxName is the length of the longest name of an entry, in bytes.
const maxName = 255

// unfinishedPrefix begins the names under which Get keeps files that are not
// complete. Trees have no such names.
const unfinishedPrefix = ".pktsvc-"

// checkName refuses names that would mean something else to a file system than one
// entry of a directory, wherever they come from.
func checkName(name string) error {
	var reason string
	switch {
	case name == "":
		reason = "it is empty"
	case len(name) > maxName:
		reason = fmt.Sprintf("it has %d bytes, and %d is the most", len(name), maxName)
	case !utf8.ValidString(name):
		reason = "it is not UTF-8"
	case strings.ContainsAny(name, "/\x00") || strings.ContainsRune(name, filepath.Separator):
		reason = "it has a separator or a NUL in it"
	case name == "." || name == ".." || !filepath.IsLocal(name):
		reason = "it leads elsewhere"
	case strings.HasPrefix(name, unfinishedPrefix):
		reason = "such names are for files that are not complete"
	default:
		return nil
	}
	return fmt.Errorf("%w: %.300q: %s", ErrName, name, reason)
}
