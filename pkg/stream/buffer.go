package stream

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// Buffers come from pools by size class, powers of two from 1<<minBufferBits to
// 1<<maxBufferBits bytes. A larger one is not pooled. Whoever holds a *buffer
// owns it alone and lets go of it once, with release.
const (
	minBufferBits = 10
	maxBufferBits = 25
)

type buffer struct {
	b []byte // len is what is used, cap a size class
}

var bufferPools [maxBufferBits - minBufferBits + 1]sync.Pool

// buffersHeld counts the buffers that are taken and not yet let go of, for tests
// that look for lost ones. Nil otherwise.
var buffersHeld *atomic.Int64

func bufferClass(n int) int { return max(bits.Len(uint(max(n, 1)-1)), minBufferBits) - minBufferBits }

// bufferCap is the capacity of the buffer that newBuffer(n) returns.
func bufferCap(n int) int {
	if class := bufferClass(n); class < len(bufferPools) {
		return 1 << (class + minBufferBits)
	}
	return n
}

// newBuffer returns an empty buffer with room for at least n bytes.
func newBuffer(n int) *buffer {
	if buffersHeld != nil {
		buffersHeld.Add(1)
	}
	class := bufferClass(n)
	if class >= len(bufferPools) {
		return &buffer{b: make([]byte, 0, n)}
	}
	if b, ok := bufferPools[class].Get().(*buffer); ok {
		return b
	}
	return &buffer{b: make([]byte, 0, 1<<(class+minBufferBits))}
}

// release gives the buffer back; nil is fine. The buffer may have grown.
func (b *buffer) release() {
	if b == nil {
		return
	}
	if buffersHeld != nil {
		buffersHeld.Add(-1)
	}
	if c := cap(b.b); c >= 1<<minBufferBits && c <= 1<<maxBufferBits {
		b.b = b.b[:0]
		bufferPools[bits.Len(uint(c))-1-minBufferBits].Put(b)
	}
}

// emptied returns the buffer without what is in it; nil is fine.
func (b *buffer) emptied() *buffer {
	if b != nil {
		b.b = b.b[:0]
	}
	return b
}

// atLeast returns an empty buffer with room for n bytes: b, which is empty or nil, or
// another one in its place.
func (b *buffer) atLeast(n int) *buffer {
	if b != nil && cap(b.b) >= n {
		return b
	}
	b.release()
	return newBuffer(n)
}

// grow makes room for n more bytes.
func (b *buffer) grow(n int) {
	if cap(b.b)-len(b.b) >= n {
		return
	}
	bigger := newBuffer(max(len(b.b)+n, 2*cap(b.b)))
	bigger.b = append(bigger.b, b.b...)
	*b, *bigger = *bigger, *b
	bigger.release()
}
