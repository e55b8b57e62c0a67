package server

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.uber.org/fx"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Service is a set of request handlers on one channel. Several services may
// share a channel if their request types differ.
type Service struct {
	Name    string      // for errors and logs
	Channel uint64      // 0 is the one that every peer has; 112 to 127 are reserved
	Mux     *stream.Mux // complete: types added later may not be seen
}

const (
	serviceGroup  = `group:"pktsvc.services"`
	observerGroup = `group:"pktsvc.observers"`
)

// The channels that pkg/stream keeps for the protocol's own extensions.
const firstReserved, lastReserved = 112, 127

// AsService marks a constructor of a [Service] for the value group that
// [Module] serves:
//
//	fx.Provide(server.AsService(newGreeter)) // func newGreeter(...) server.Service
func AsService(constructor any) any {
	return fx.Annotate(constructor, fx.ResultTags(serviceGroup))
}

// AsObserver marks a constructor of a [stream.Observer] for the value group of
// observers that see every connection, after those of the server itself.
func AsObserver(constructor any) any {
	return fx.Annotate(constructor, fx.As(new(stream.Observer)), fx.ResultTags(observerGroup))
}

// services is the mux of every channel, made of all services.
type services map[uint64]*stream.Mux

type servicesParams struct {
	fx.In
	Services []Service `group:"pktsvc.services"`
}

func newServices(in servicesParams) (services, error) {
	// The order of a value group is random.
	slices.SortFunc(in.Services, func(a, b Service) int { return strings.Compare(a.Name, b.Name) })
	byChannel := make(map[uint64][]Service)
	var errs []error
	for _, s := range in.Services {
		if s.Mux == nil {
			errs = append(errs, fmt.Errorf("service %q has no Mux", s.Name))
			continue
		}
		if s.Channel >= firstReserved && s.Channel <= lastReserved {
			errs = append(errs, fmt.Errorf("service %q wants channel %d, but %d to %d are reserved", s.Name, s.Channel, firstReserved, lastReserved))
			continue
		}
		byChannel[s.Channel] = append(byChannel[s.Channel], s)
	}
	all := make(services)
	for channel, list := range byChannel {
		mux, err := share(channel, list)
		all[channel] = mux
		errs = append(errs, err)
	}
	return all, errors.Join(errs...)
}

// share makes one mux of several. A single one is used as it is.
func share(channel uint64, list []Service) (*stream.Mux, error) {
	if len(list) == 1 {
		return list[0].Mux, nil
	}
	var errs []error
	mux := new(stream.Mux)
	owner := make(map[uint64]string)
	for _, s := range list {
		for typ, name := range s.Mux.Names() {
			if other, dup := owner[typ]; dup {
				errs = append(errs, fmt.Errorf("services %q and %q both handle request type %d on channel %d", other, s.Name, typ, channel))
				continue
			}
			owner[typ] = s.Name
			mux.Handle(typ, name, s.Mux)
		}
	}
	return mux, errors.Join(errs...)
}

// handlers is the form that stream.Options wants.
func (s services) handlers() (channel0 stream.Handler, others map[uint64]stream.Handler) {
	others = make(map[uint64]stream.Handler)
	for channel, mux := range s {
		if channel == 0 {
			channel0 = mux
		} else {
			others[channel] = mux
		}
	}
	return channel0, others
}

// ofChannels are the names of request types on channels other than 0.
func (s services) ofChannels() map[uint64]map[uint64]string {
	all := make(map[uint64]map[uint64]string)
	for channel, mux := range s {
		if channel != 0 {
			all[channel] = mux.Names()
		}
	}
	return all
}

// naming is the names of all types, as they are when it is made.
type naming struct {
	types    map[uint64]string
	channels map[uint64]map[uint64]string
}

func (s services) naming() naming { return naming{s.names(), s.ofChannels()} }

// of is what a request type is called on a channel; empty if it has no name.
func (n naming) of(channel, typ uint64) string {
	if types, own := n.channels[channel]; own {
		return types[typ]
	}
	return n.types[typ]
}

// find looks for a request type by its name, on the lowest channel that has it.
func (s services) find(name string) (channel, typ uint64, found bool) {
	for _, channel := range slices.Sorted(maps.Keys(s)) {
		for typ, called := range s[channel].Names() {
			if called == name {
				return channel, typ, true
			}
		}
	}
	return 0, 0, false
}

// names lists the request types of channel 0 and all others by name; where
// channels differ over a number, that of the lower channel counts.
func (s services) names() map[uint64]string {
	all := make(map[uint64]string)
	for _, channel := range slices.Backward(slices.Sorted(maps.Keys(s))) {
		maps.Copy(all, s[channel].Names())
	}
	return all
}

// all lists the names of all request types, each once.
func (s services) all() []string {
	list := []string{}
	for _, mux := range s {
		list = slices.AppendSeq(list, maps.Values(mux.Names()))
	}
	slices.Sort(list)
	return slices.Compact(list)
}
