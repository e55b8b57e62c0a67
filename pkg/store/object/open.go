package object

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/cached"
)

// Store is a store on an object store, with a cache of what was read.
type Store struct {
	store.Backend // cache, or blocks

	blocks *blocks
	cache  *cached.Backend // nil if there is none
}

// Open opens a store, or makes one where there is none. The bucket must exist.
// Credentials are those of the environment (AWS_ACCESS_KEY_ID,
// AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN), else of the file that AWS' programs use,
// else of the machine; without any, requests are not signed.
//
// Open asks the object store, and tries whether it has conditional writes. If the
// store has another class the error matches [store.ErrOtherClass].
func Open(ctx context.Context, o Options) (*Store, error) {
	f, err := o.freeze()
	if err != nil {
		return nil, err
	}
	b, err := newBucket(f)
	if err != nil {
		return nil, err
	}
	s, err := open(ctx, b)
	if err != nil {
		b.close()
		return nil, fmt.Errorf("open %s: %w", o.URL(), err)
	}
	return s, nil
}

func open(ctx context.Context, b *bucket) (*Store, error) {
	l := newLayout(b.Prefix, b.Class)
	known, err := lru.New[store.Code, struct{}](b.Known)
	if err != nil {
		return nil, err
	}
	archives, err := newArchives(b, l)
	if err != nil {
		return nil, err
	}
	blocks := &blocks{bucket: b, layout: l, archives: archives, known: known}
	if blocks.noLists, err = b.probe(ctx, l.probe()); err != nil {
		return nil, err
	}
	b.conditional = blocks.noLists == nil
	if err := b.mark(ctx, l); err != nil {
		return nil, err
	}
	s := &Store{Backend: blocks, blocks: blocks}
	if b.Cache >= 0 {
		s.cache = cached.New(blocks, b.Cache)
		s.Backend = s.cache
	}
	return s, nil
}

// probe tries whether the object store has conditional writes: an object is created
// that is there. If it has none, the first error is what to tell those who want
// archives.
func (b *bucket) probe(ctx context.Context, key string) (none, err error) {
	for range 2 { // by the second time it is there
		err = b.attempt(ctx, "put", key, func(ctx context.Context) error {
			return b.put(ctx, key, nil, "probe", true)
		})
		switch {
		case errors.Is(err, errExists):
			return nil, nil
		case errors.Is(err, errRefused):
			return fmt.Errorf("%w: they need conditional writes (If-None-Match), which this object store refuses: %w", store.ErrNoArchives, err), nil
		case err != nil:
			return nil, err
		}
	}
	return fmt.Errorf("%w: they need conditional writes (If-None-Match), which this object store ignores", store.ErrNoArchives), nil
}

// marker says what a store is.
type marker struct {
	Format int         `json:"format"`
	Class  store.Class `json:"class"`
}

// format is that of the layout in keys.go.
const format = 1

// mark makes a new store one of the class, and checks that an existing one is.
func (b *bucket) mark(ctx context.Context, l layout) error {
	data, err := b.get(ctx, l.marker())
	if isMissing(err) {
		text, err := json.Marshal(marker{format, b.Class})
		if err != nil {
			return err
		}
		if _, err := b.create(ctx, l.marker(), append(text, '\n')); err != nil {
			return err
		}
		// Somebody else may have been faster, with another class.
		data, err = b.get(ctx, l.marker())
		if err != nil {
			return err
		}
		return b.checkMarker(l, data)
	}
	if err != nil {
		return err
	}
	return b.checkMarker(l, data)
}

func (b *bucket) checkMarker(l layout, data []byte) error {
	var m marker
	if err := json.Unmarshal(data, &m); err != nil {
		return fmt.Errorf("%s does not say what the store is, so there may be something else: %w", l.marker(), err)
	}
	if m.Format != format {
		return fmt.Errorf("%s: the store has format %d, this program knows %d", l.marker(), m.Format, format)
	}
	if m.Class != b.Class {
		return fmt.Errorf("%w: %v, not %v", store.ErrOtherClass, m.Class, b.Class)
	}
	return nil
}
