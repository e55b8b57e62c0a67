package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Options configure a [Service]. The zero value works.
type Options struct {
	// SyncAlways lets an Add or an ArchiveUpdate be answered only when it is durable.
	// Otherwise that is what Flush is for.
	SyncAlways bool

	// MaxAnswer is how many bytes of hash codes or of archive entries one answer
	// may have; requests for more are refused. Default 16 MiB.
	MaxAnswer int

	// MaxTree is how many blocks ContainsIndirect looks for. Default 1 million.
	MaxTree int

	// Synced is told of each sync of the backend, and how many requests it was
	// made for. It is called by one goroutine at a time and must not block.
	Synced func(requests int, err error)

	// Corrupt is told each time that a block is found to be damaged. From then on the
	// store says that it does not have it, and lists it no more, until somebody adds it
	// again, of which Mended is told. Length goes on counting it. Both may be called concurrently and must not block.
	Corrupt, Mended func(code Code)
}

// Defaults of [Options].
const (
	DefaultMaxAnswer = 16 << 20
	DefaultMaxTree   = 1 << 20
)

// Service serves a backend.
type Service struct {
	backend Backend
	options Options
	flusher flusher
	damaged damaged
}

// NewService returns a service for the blocks of a backend. The backend is the
// service's from then on: Close closes it.
func NewService(b Backend, o Options) *Service {
	if o.MaxAnswer <= 0 {
		o.MaxAnswer = DefaultMaxAnswer
	}
	if o.MaxTree <= 0 {
		o.MaxTree = DefaultMaxTree
	}
	if o.Corrupt == nil {
		o.Corrupt = func(Code) {}
	}
	if o.Mended == nil {
		o.Mended = func(Code) {}
	}
	return &Service{backend: b, options: o, flusher: flusher{sync: b.Sync, synced: o.Synced}}
}

// Mux returns the handlers of all requests. Whatever goes wrong is answered with
// the protocol's one text for it, and its reason is for the observers.
func (s *Service) Mux() *stream.Mux {
	mux := new(stream.Mux)
	Add.Handle(mux, s.add)
	Get.Handle(mux, s.get)
	Contains.Handle(mux, s.contains)
	Flush.Handle(mux, s.flush)
	HashCodes.Handle(mux, s.hashCodes)
	HashOfHashCodes.Handle(mux, s.hashOfHashCodes)
	ArchiveLast.Handle(mux, s.archiveLast)
	ArchiveUpdate.Handle(mux, s.archiveUpdate)
	ArchiveList.Handle(mux, s.archiveList)
	Length.Handle(mux, s.length)
	ContainsIndirect.Handle(mux, s.containsIndirect)
	return mux
}

// Close makes everything durable and closes the backend. Call it when no request
// is handled any more.
func (s *Service) Close() error {
	err := s.flusher.flush(context.Background())
	s.flusher.wait()
	return errors.Join(err, s.backend.Close())
}

func (s *Service) add(ctx context.Context, r AddRequest) (Code, error) {
	if err := s.sameClass(r.Class); err != nil {
		return Code{}, err
	}
	code := r.Class.Sum(r.Data)
	if err := s.put(ctx, code, r.Data); err != nil {
		return Code{}, err
	}
	// Also where the block was there already: that need not be durable yet.
	return code, s.stored(ctx)
}

func (s *Service) put(ctx context.Context, code Code, data []byte) error {
	if !s.damaged.has(code) {
		_, err := s.backend.Put(ctx, code, data)
		return err
	}
	err := s.backend.Replace(ctx, code, data)
	if err == nil && s.damaged.remove(code) {
		s.options.Mended(code)
	}
	return err
}

// stored is called when something has been stored and is about to be answered.
func (s *Service) stored(ctx context.Context) error {
	if !s.options.SyncAlways {
		return nil
	}
	return s.flusher.flush(ctx)
}

func (s *Service) sameClass(c Class) error {
	if own := s.backend.Class(); c != own {
		return refusal{fmt.Errorf("%w: %v, not %v", ErrOtherClass, own, c)}
	}
	return nil
}

func (s *Service) get(ctx context.Context, code Code) (Block, error) {
	data, err := s.block(ctx, code)
	if errors.Is(err, ErrMissing) {
		return Block{}, nil
	}
	return Block{Found: err == nil, Data: data}, err
}

// block returns a block that has the hash that it should have.
func (s *Service) block(ctx context.Context, code Code) ([]byte, error) {
	if s.sameClass(code.class) != nil {
		return nil, ErrMissing // as is whatever the store does not have
	}
	data, err := s.backend.Get(ctx, code)
	if err == nil && code.class.Sum(data) != code {
		err = fmt.Errorf("%v: %w", code, ErrCorrupt)
	}
	if err != nil {
		if errors.Is(err, ErrCorrupt) { // which the backend may have found itself
			s.damaged.add(code)
			s.options.Corrupt(code)
		}
		return nil, err
	}
	if s.damaged.has(code) { // another process has replaced it
		s.damaged.remove(code)
	}
	return data, nil
}

func (s *Service) contains(ctx context.Context, code Code) (bool, error) {
	if s.sameClass(code.class) != nil || s.damaged.has(code) {
		return false, nil
	}
	return s.backend.Has(ctx, code)
}

func (s *Service) flush(ctx context.Context, _ struct{}) (struct{}, error) {
	return struct{}{}, s.flusher.flush(ctx)
}

func (s *Service) hashCodes(ctx context.Context, w Window) (codes []Code, err error) {
	most := s.options.MaxAnswer / (1 + w.Class.Size())
	err = s.covered(ctx, w, func(c Code) error {
		if len(codes) == most {
			return refusal{fmt.Errorf("%w: %d codes at most", ErrTooMany, most)}
		}
		codes = append(codes, c)
		return nil
	})
	return codes, err
}

func (s *Service) hashOfHashCodes(ctx context.Context, w Window) (Checksum, error) {
	sum := newChecksum(w.Class)
	err := s.covered(ctx, w, func(c Code) error {
		sum.add(c)
		return nil
	})
	return sum.end(), err
}

// covered calls f with the codes of a window, in order.
func (s *Service) covered(ctx context.Context, w Window, f func(Code) error) error {
	if err := s.sameClass(w.Class); err != nil {
		return err
	}
	var n uint64
	start := w.Start
	start.class = w.Class // also where there is no start
	for code, err := range s.backend.Codes(ctx, start) {
		if err == nil {
			err = ctx.Err() // nobody wants the answer any more
		}
		if err != nil {
			return err
		}
		if w.After && code == w.Start || s.damaged.has(code) {
			continue
		}
		if err := f(code); err != nil {
			return err
		}
		if n++; n == w.Length {
			break
		}
	}
	return nil
}

// archives are the backend's; that it has none is no failure.
func (s *Service) archives() (Archives, error) {
	archives, err := s.backend.Archives()
	if errors.Is(err, ErrNoArchives) {
		err = refusal{err}
	}
	return archives, err
}

func (s *Service) archiveLast(ctx context.Context, name ArchiveName) (LastEntry, error) {
	archives, err := s.archives()
	if err != nil {
		return LastEntry{}, err
	}
	entry, err := archives.Last(ctx, name)
	if errors.Is(err, ErrMissing) {
		return LastEntry{}, nil
	}
	return LastEntry{Found: err == nil, Entry: entry}, err
}

func (s *Service) archiveUpdate(ctx context.Context, r NamedEntry) (none struct{}, err error) {
	archives, err := s.archives()
	if err != nil {
		return none, err
	}
	if err := archives.Append(ctx, r.Archive, r.Entry); err != nil {
		return none, err
	}
	return none, s.stored(ctx)
}

func (s *Service) archiveList(ctx context.Context, name ArchiveName) (list []byte, err error) {
	archives, err := s.archives()
	if err != nil {
		return nil, err
	}
	for entry, err := range archives.Entries(ctx, name) {
		if err != nil {
			return nil, err
		}
		if len(list)+len(entry) > s.options.MaxAnswer {
			return nil, refusal{fmt.Errorf("%w: archive %q has over %d bytes", ErrTooMany, name, s.options.MaxAnswer)}
		}
		list = append(list, entry...)
	}
	return list, nil
}

func (s *Service) length(ctx context.Context, _ struct{}) (uint64, error) {
	return s.backend.Length(ctx)
}

// containsIndirect looks at the blocks of a tree, each once however often it is
// referred to: a peer could have made a tree whose paths nobody lives to walk.
func (s *Service) containsIndirect(ctx context.Context, root Code) (bool, error) {
	seen := map[Code]bool{root: true}
	indirect := []Code{root} // still to be looked into
	for len(indirect) > 0 {
		last := len(indirect) - 1
		code := indirect[last]
		indirect = indirect[:last]

		block, err := s.block(ctx, code)
		if errors.Is(err, ErrMissing) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		// One at a time: references take many times the room of the bytes that a peer
		// can make them of.
		missing := false
		for len(block) > 0 {
			ref, n, err := ConsumeRef(block)
			if err != nil {
				return false, refusal{fmt.Errorf("%v: %w", code, err)}
			}
			block = block[n:]
			for ref.Of != nil {
				ref = *ref.Of
			}
			if missing || ref.Type != RefBlock || seen[ref.Code] {
				continue // to the end, where it may be no list after all
			}
			if len(seen) == s.options.MaxTree {
				return false, refusal{fmt.Errorf("%w: over %d blocks", ErrTooMany, s.options.MaxTree)}
			}
			seen[ref.Code] = true
			if ref.Indirect {
				indirect = append(indirect, ref.Code)
				continue
			}
			there, err := s.contains(ctx, ref.Code)
			if err != nil {
				return false, err
			}
			missing = !there
		}
		if missing {
			return false, nil
		}
	}
	return true, nil
}
