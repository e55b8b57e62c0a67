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
	mu    sync.Mutex               // serialises registration
	types atomic.Pointer[muxTable] // never changed, only replaced
}

// muxTable is what is registered.
type muxTable struct {
	all map[uint64]*muxEntry
	low []*muxEntry // those below lowTypes, by type
}

// lowTypes are request types that are found without a search.
const lowTypes = 256

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
	if twice := m.entry(typ); twice != nil {
		panic(fmt.Sprintf("stream: request type %d is registered as %s and again as %s", typ, twice.name, e.name))
	}
	t := muxTable{all: maps.Clone(m.table().all)}
	if t.all == nil {
		t.all = make(map[uint64]*muxEntry)
	}
	t.all[typ] = &e
	for typ, e := range t.all {
		if typ < lowTypes {
			if typ >= uint64(len(t.low)) {
				t.low = append(t.low, make([]*muxEntry, int(typ)+1-len(t.low))...)
			}
			t.low[typ] = e
		}
	}
	m.types.Store(&t)
}

func (m *Mux) table() *muxTable {
	if t := m.types.Load(); t != nil {
		return t
	}
	return new(muxTable)
}

// entry is what is registered for a type, or nil.
func (m *Mux) entry(typ uint64) *muxEntry {
	t := m.types.Load()
	switch {
	case t == nil:
		return nil
	case typ < uint64(len(t.low)):
		return t.low[typ]
	}
	return t.all[typ]
}

// Names returns the registered types with their names.
func (m *Mux) Names() map[uint64]string {
	names := make(map[uint64]string)
	for typ, e := range m.table().all {
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
	e := m.entry(req.Type)
	if e == nil {
		return Response{}, fmt.Errorf("request type %d: %w", req.Type, errUnknownType)
	}
	return e.handler.Serve(ctx, req)
}

// route returns who serves a type, and how quickly, which a mux that is registered in
// another one knows best. With a nil pace nobody does, and Serve says so.
func (m *Mux) route(typ uint64) (Handler, *pace) {
	e := m.entry(typ)
	if e == nil {
		return m, nil
	}
	if inner, ok := e.handler.(*Mux); ok {
		return inner.route(typ)
	}
	return e.handler, e.pace
}
