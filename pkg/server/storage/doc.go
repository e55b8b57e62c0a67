// Package storage serves a store of package store in an fx app beside
// [server.Module]: settings, the backend that they name, and the service with its
// metrics.
//
//	settings := new(storage.Settings)
//	cfg, err := server.Load(server.Source{Services: []server.Settings{settings}})
//	err = server.Run(server.New(cfg, storage.Module(0, settings)))
package storage
