// Package server makes a running service of a set of request handlers: packet
// listeners, limits, an admin HTTP server, health, metrics, traces, logs and an
// orderly end.
//
// It is a set of fx modules. A program gives it a [Config] and, through an fx
// value group, its handlers:
//
//	app := server.New(server.Default(), fx.Provide(server.AsService(newGreeter)))
//	err := server.Run(app)
//
// or puts [Module] into an fx app of its own. Who wants handlers on a stream and
// nothing else needs pkg/stream alone.
package server
