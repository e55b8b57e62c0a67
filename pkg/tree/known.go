package tree

import "github.com/pktsvc/pktsvc/pkg/store"

// knownCodes is how many codes a known remembers at least, when it has seen so many:
// two generations take some 8 MiB.
const knownCodes = 64 << 10

// known remembers the last codes that were seen. It is not for concurrent use.
type known struct{ young, old map[store.Code]struct{} }

func (k *known) has(code store.Code) bool {
	if _, ok := k.young[code]; ok {
		return true
	}
	_, ok := k.old[code]
	return ok
}

func (k *known) add(code store.Code) {
	if len(k.young) >= knownCodes {
		k.young, k.old = nil, k.young
	}
	if k.young == nil {
		k.young = make(map[store.Code]struct{})
	}
	k.young[code] = struct{}{}
}
