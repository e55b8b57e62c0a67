package tree

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// Metadata is what an entry's text of metadata says, as far as it is known here.
type Metadata struct {
	Modified time.Time   // zero: not said. Of microseconds the whole ones
	Mode     fs.FileMode // permissions alone; with HasMode
	HasMode  bool
	Target   string // of a symbolic link
}

// metadataText is the text's JSON form.
type metadataText struct {
	Modified *float64 `json:"m,omitempty"`
	Mode     string   `json:"mode,omitempty"` // octal
	Target   string   `json:"pathref,omitempty"`
}

// modifiedLimit bounds times: the years from 1678 to 2261 fit in nanoseconds.
const modifiedLimit = 9.2e9

// String returns the text, which is JSON, or "" if there is nothing to say.
func (m Metadata) String() string {
	var t metadataText
	if !m.Modified.IsZero() {
		// A float of seconds tells microseconds apart, but no less: the time of a copy
		// would be another one.
		seconds := store.UnixSeconds(m.Modified.Truncate(time.Microsecond))
		t.Modified = &seconds
	}
	if m.HasMode {
		t.Mode = strconv.FormatUint(uint64(m.Mode.Perm()), 8)
	}
	t.Target = m.Target
	if t == (metadataText{}) {
		return ""
	}
	b, err := json.Marshal(t)
	if err != nil { // a float that is none cannot be made of a time
		return ""
	}
	return string(b)
}

// ParseMetadata reads what String writes, and the other form of the StreamStore
// specification: key:value pairs with semicolons between them. Keys that are not
// known are left out.
func ParseMetadata(text string) (Metadata, error) {
	var t metadataText
	if strings.HasPrefix(text, "{") {
		if err := json.Unmarshal([]byte(text), &t); err != nil {
			return Metadata{}, fmt.Errorf("metadata %.80q: %w", text, err)
		}
	} else {
		for pair := range strings.SplitSeq(text, ";") {
			switch key, value, _ := strings.Cut(pair, ":"); key {
			case "m":
				v, err := strconv.ParseFloat(value, 64)
				if err != nil {
					return Metadata{}, fmt.Errorf("metadata %.80q: %w", text, err)
				}
				t.Modified = &v
			case "mode":
				t.Mode = value
			}
		}
	}
	m := Metadata{Target: t.Target}
	if t.Modified != nil {
		if v := *t.Modified; math.IsNaN(v) || math.Abs(v) > modifiedLimit {
			return Metadata{}, fmt.Errorf("metadata %.80q: %v is no time that a file can have", text, v)
		}
		m.Modified = time.UnixMicro(int64(math.Round(*t.Modified * 1e6)))
	}
	if t.Mode != "" {
		v, err := strconv.ParseUint(t.Mode, 8, 32)
		if err != nil {
			return Metadata{}, fmt.Errorf("metadata %.80q: %w", text, err)
		}
		m.Mode, m.HasMode = fs.FileMode(v).Perm(), true
	}
	return m, nil
}

func metadataOf(info fs.FileInfo) Metadata {
	return Metadata{Modified: info.ModTime(), Mode: info.Mode().Perm(), HasMode: true}
}

// maxTarget is the length of the longest target of a link, in bytes.
const maxTarget = 4096

var errTarget = errors.New("not a target of a link")

func checkTarget(target string) error {
	if target == "" || len(target) > maxTarget || strings.ContainsRune(target, 0) {
		return fmt.Errorf("%w: %.80q", errTarget, target)
	}
	return nil
}
