package stream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
)

// Mux is a [Handler] that chooses another by request type (rq_type_map of the
// Python package). Its types have names, by which metrics and traces know them.
// The zero value is ready to use. Handle and Inline may be called while the mux
// serves.
type Mux struct {
	mu    sync.Mutex                          // serialises registration
	types atomic.Pointer[map[uint64]muxEntry] // the map is never changed, only replaced
}

type muxEntry struct {
	name    string
	handler Handler
	pace    *pace
}

// Handle registers h under a type number and a name, such as "Add". A type can
// be registered once; a second time panics, like [net/http.ServeMux].
func (m *Mux) Handle(typ uint64, name string, h Handler) {
	m.add(typ, muxEntry{name: name, handler: h, pace: new(pace)})
}

// HandleFunc is Handle for a function.
func (m *Mux) HandleFunc(typ uint64, name string, f func(context.Context, Request) (Response, error)) {
	if f == nil {
		m.Handle(typ, name, nil) // which panics, now and not when a request comes
	}
	m.Handle(typ, name, HandlerFunc(f))
}

// Inline is Handle for a handler that never waits and is always quick: it runs on
// the connection's reader, which saves a goroutine for each request, from the first
// request on and also where Options.MaxHandlers run already. (The engine does so
// with other handlers that have proved to be quick.) What else has come waits while
// it runs, but for milliseconds at most: then another goroutine reads on.
func (m *Mux) Inline(typ uint64, name string, h Handler) {
	m.add(typ, muxEntry{name: name, handler: h, pace: inlinePace()})
}

func (m *Mux) add(typ uint64, e muxEntry) {
	if typ > maxRequestType {
		panic(fmt.Sprintf("stream: request type %d (%s) is over %d", typ, e.name, uint64(maxRequestType)))
	}
	if e.handler == nil {
		panic(fmt.Sprintf("stream: nil handler for request type %d (%s)", typ, e.name))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.table()
	if twice, dup := old[typ]; dup {
		panic(fmt.Sprintf("stream: request type %d is registered as %s and again as %s", typ, twice.name, e.name))
	}
	types := make(map[uint64]muxEntry, len(old)+1)
	maps.Copy(types, old)
	types[typ] = e
	m.types.Store(&types)
}

func (m *Mux) table() map[uint64]muxEntry {
	if types := m.types.Load(); types != nil {
		return *types
	}
	return nil
}

// Names returns the registered types with their names.
func (m *Mux) Names() map[uint64]string {
	names := make(map[uint64]string)
	for typ, e := range m.table() {
		names[typ] = e.name
	}
	return names
}

// errUnknownType and errUndecodable mark handler errors for observers.
var (
	errUnknownType = errors.New("no handler for this request type")
	errUndecodable = errors.New("the request cannot be decoded")
)

// Serve calls the handler registered for the request's type. An unknown type is
// an error, so it is answered "exception during handler", as the Python package
// does.
func (m *Mux) Serve(ctx context.Context, req Request) (Response, error) {
	e, ok := m.table()[req.Type]
	if !ok {
		return Response{}, fmt.Errorf("request type %d: %w", req.Type, errUnknownType)
	}
	return e.handler.Serve(ctx, req)
}

// entry is what is registered for a type, if anything.
// A mux that is registered in another knows best.
func (m *Mux) entry(typ uint64) muxEntry {
	e := m.table()[typ]
	if inner, ok := e.handler.(*Mux); ok {
		return inner.entry(typ)
	}
	return e
}
