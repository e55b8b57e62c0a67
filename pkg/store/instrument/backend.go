package instrument

import (
	"context"
	"iter"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// Backend returns b, observed: it behaves as b does, and is [store.Measured] if b is.
// Levels (blocks, bytes, cache, disk) are shown of the backend of the latest call, until it
// is closed.
func (i *Instrument) Backend(b store.Backend) store.Backend {
	i.levels.of(b)
	o := &observed{Backend: b, by: i}
	if m, ok := b.(store.Measured); ok {
		return measured{o, m}
	}
	return o
}

// observed is a backend that is observed. Class is that of the backend itself.
type observed struct {
	store.Backend
	by *Instrument
}

type measured struct {
	*observed
	store.Measured
}

func (o *observed) Put(ctx context.Context, code store.Code, data []byte) (added bool, err error) {
	c := o.by.begin(ctx, opPut)
	added, err = o.Backend.Put(c.ctx, code, data)
	result, n := putPresent, 1
	if added {
		result, n = putNew, 0
	}
	if err == nil {
		o.by.puts[n].add(len(data))
	}
	c.about(code)
	c.number(keySize, len(data))
	c.end(err, result)
	return added, err
}

func (o *observed) Replace(ctx context.Context, code store.Code, data []byte) error {
	c := o.by.begin(ctx, opReplace)
	err := o.Backend.Replace(c.ctx, code, data)
	c.about(code)
	c.number(keySize, len(data))
	c.end(err, resultOK)
	return err
}

func (o *observed) Get(ctx context.Context, code store.Code) ([]byte, error) {
	c := o.by.begin(ctx, opGet)
	data, err := o.Backend.Get(c.ctx, code)
	c.about(code)
	if err == nil {
		c.number(keySize, len(data))
	}
	o.by.countGet(len(data), err, c.end(err, found))
	return data, err
}

func (i *Instrument) countGet(size int, err error, kind int) {
	switch {
	case err == nil:
		i.gets[getFound].Inc()
		i.got.Add(float64(size))
	case kind == kindNone:
		i.gets[getMissing].Inc()
	case kind == kindCorrupt:
		i.gets[getCorrupt].Inc()
		i.corrupt.Inc() // the service will not look at what it does not get
	default:
		i.gets[getError].Inc()
	}
}

func (o *observed) Has(ctx context.Context, code store.Code) (bool, error) {
	c := o.by.begin(ctx, opHas)
	there, err := o.Backend.Has(c.ctx, code)
	c.about(code)
	if there {
		c.end(err, found)
	} else {
		c.end(err, missing)
	}
	return there, err
}

func (o *observed) Codes(ctx context.Context, start store.Code) iter.Seq2[store.Code, error] {
	return func(yield func(store.Code, error) bool) {
		c := o.by.begin(ctx, opCodes)
		n, failed := 0, error(nil)
		for code, err := range o.Backend.Codes(c.ctx, start) {
			if failed = err; err == nil {
				n++
			}
			if !yield(code, err) {
				break
			}
		}
		c.number(keyCount, n)
		c.end(failed, resultOK)
	}
}

func (o *observed) Length(ctx context.Context) (uint64, error) {
	c := o.by.begin(ctx, opLength)
	n, err := o.Backend.Length(c.ctx)
	c.end(err, resultOK)
	return n, err
}

func (o *observed) Sync(ctx context.Context) error {
	c := o.by.begin(ctx, opSync)
	err := o.Backend.Sync(c.ctx)
	c.end(err, resultOK)
	return err
}

func (o *observed) Archives() (store.Archives, error) {
	a, err := o.Backend.Archives()
	if err != nil {
		return nil, err
	}
	return archives{a, o.by}, nil
}

func (o *observed) Close() error {
	o.by.levels.of(nil)
	return o.Backend.Close()
}
