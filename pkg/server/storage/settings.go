package storage

import (
	"strings"

	"github.com/pktsvc/pktsvc/pkg/server"
	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/disk"
	"github.com/pktsvc/pktsvc/pkg/store/object"
)

// Settings are what can be set of a store. The zero value is a store on disk in
// ./pktsvc-data.
type Settings struct {
	Data    string `yaml:"data" usage:"store: folder of the blocks, which is made if there is none"`
	Hash    string `yaml:"hash" usage:"store: hash class of the blocks, sha1, sha256 or blake3; a store keeps that of its first start"`
	Backend string `yaml:"backend" usage:"store: where blocks are kept: disk: (in --data), memory:, or s3://BUCKET/PREFIX?endpoint=URL"`
	Sync    string `yaml:"sync" usage:"store: flush (what was added is durable when a flush is answered) or always (when the add is answered)"`
	Cache   int    `yaml:"block_cache" usage:"store: bytes of blocks that are kept in memory for reading, not for memory:"`
	Reserve int    `yaml:"disk_reserve" usage:"store: bytes of free disk space at which adds are refused"`
}

// The values of sync.
const (
	syncFlush  = "flush"
	syncAlways = "always"
)

// Defaults of [Settings].
const (
	DefaultData    = "./pktsvc-data"
	DefaultBackend = "disk:"
	DefaultCache   = disk.DefaultCache
	DefaultReserve = disk.DefaultReserve
)

// SetDefaults implements [server.Settings].
func (s *Settings) SetDefaults() {
	for setting, value := range map[*string]string{
		&s.Data: DefaultData, &s.Hash: store.DefaultClass.String(), &s.Backend: DefaultBackend, &s.Sync: syncFlush,
	} {
		if *setting == "" {
			*setting = value
		}
	}
	if s.Cache == 0 {
		s.Cache = DefaultCache
	}
	if s.Reserve == 0 {
		s.Reserve = DefaultReserve
	}
}

// Problems implements [server.Settings].
func (s *Settings) Problems() (list []*server.ConfigError) {
	wrong := func(key, value, allowed string) {
		list = append(list, &server.ConfigError{Key: key, Value: value, Allowed: allowed})
	}
	class, err := store.ParseClass(s.Hash)
	if err != nil {
		wrong("hash", s.Hash, strings.Join(store.ClassNames(), ", "))
	}
	if s.Sync != syncFlush && s.Sync != syncAlways {
		wrong("sync", s.Sync, syncFlush+" or "+syncAlways)
	}
	if _, err := s.opener(class); err != nil {
		wrong("backend", object.Redacted(s.Backend), "disk:, memory:, or s3://BUCKET/PREFIX?endpoint=URL: "+err.Error())
	}
	return list
}
