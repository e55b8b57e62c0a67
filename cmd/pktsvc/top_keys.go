package main

import (
	"context"
	"io"

	"github.com/pktsvc/pktsvc/pkg/top"
)

// readKeys passes on the keys that are pressed, until there are no more.
func readKeys(ctx context.Context, r io.Reader, pressed chan<- rune) {
	var k keys
	buf := make([]byte, 64)
	for {
		n, err := r.Read(buf)
		for _, b := range buf[:n] {
			key, ok := k.next(b)
			if !ok {
				continue
			}
			select {
			case pressed <- key:
			case <-ctx.Done():
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// keys makes keys of the bytes that a terminal sends. Arrows are several bytes, which may
// come apart; of other sequences, too, no byte is taken for a key.
type keys struct {
	state keyState
}

type keyState int

const (
	keyNone     keyState = iota
	keyEscape            // ESC was the last
	keySequence          // ESC [ or ESC O, and maybe parameters
)

const escape = 0x1b

// next takes a byte, and says which key it completes.
func (k *keys) next(b byte) (key rune, ok bool) {
	switch {
	case b == escape:
		k.state = keyEscape
		return 0, false
	case k.state == keyEscape && (b == '[' || b == 'O'):
		k.state = keySequence
		return 0, false
	case k.state == keySequence && b >= 0x20 && b < 0x40: // parameters
		return 0, false
	case k.state == keySequence:
		k.state = keyNone
		switch b {
		case 'A', 'D': // up, left
			return top.KeyPrevious, true
		case 'B', 'C': // down, right
			return top.KeyNext, true
		}
		if b >= 0x20 {
			return 0, false
		}
	}
	k.state = keyNone
	return rune(b), true
}
