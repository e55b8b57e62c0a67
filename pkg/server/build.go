package server

import "runtime/debug"

// Build says which program this is, as far as the Go toolchain has recorded it.
type Build struct {
	Module   string `json:"module"`             // of the program, such as github.com/pktsvc/pktsvc
	Version  string `json:"version"`            // a tag, a pseudo-version, or (devel)
	Revision string `json:"revision,omitempty"` // of the version control system
	Time     string `json:"time,omitempty"`     // of the revision
	Modified bool   `json:"modified"`           // there were uncommitted changes
	Go       string `json:"go"`
}

// version and revision are set by the linker (-X) where there is no version
// control system to read them from, as in the build of a container image.
var version, revision string

// ReadBuild returns the build of the running program.
func ReadBuild() Build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Build{Version: "(unknown)"}
	}
	b := Build{Module: info.Main.Path, Version: info.Main.Version, Go: info.GoVersion}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	if version != "" {
		b.Version = version
	}
	if revision != "" { // of another tree than what the toolchain may have seen
		b.Revision, b.Time, b.Modified = revision, "", false
	}
	return b
}
