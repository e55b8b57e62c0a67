package store

import (
	"sync"
	"sync/atomic"
)

// maxDamaged is how many damaged blocks are remembered. A store with more has lost its
// disk, and those that are not remembered are found again.
const maxDamaged = 4096

// damaged are the blocks that were found to be damaged and have not been replaced. To
// a client they are not there, so that one that has such a block adds it again.
type damaged struct {
	n     atomic.Int64 // len(codes): nearly always none, which then costs no lock
	mu    sync.Mutex
	codes map[Code]struct{}
}

func (d *damaged) add(code Code) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.codes == nil {
		d.codes = make(map[Code]struct{})
	}
	if len(d.codes) < maxDamaged {
		d.codes[code] = struct{}{}
		d.n.Store(int64(len(d.codes)))
	}
}

func (d *damaged) has(code Code) bool {
	if d.n.Load() == 0 {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	_, has := d.codes[code]
	return has
}

// remove reports whether the block was there.
func (d *damaged) remove(code Code) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, had := d.codes[code]
	delete(d.codes, code)
	d.n.Store(int64(len(d.codes)))
	return had
}
