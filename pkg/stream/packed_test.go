package stream

import (
	"testing"
	"time"
	"unsafe"
)

// What fits is the same afterwards; what does not is left out, for the right reason.
func TestPackedEnd(t *testing.T) {
	if size := unsafe.Sizeof(PackedEnd{}); size != 64 {
		t.Errorf("it has %d bytes, want 64", size)
	}
	most := End{
		Channel: 1<<8 - 1, Tag: 1<<64 - 1, Type: 1<<16 - 1, Flags: 1<<8 - 1,
		Duration: 1<<32 - 1, Waited: 1<<32 - 2, Answered: 1<<32 - 3, RequestSize: 1<<32 - 4, ResponseSize: 1<<32 - 5,
		begun: 1<<63 - 1, sent: new(mark), remote: remote{1<<16 - 1, 1<<16 - 2},
	}
	for name, tt := range map[string]struct {
		change func(*End)
		fits   bool
	}{
		"the greatest":               {func(*End) {}, true},
		"nothing":                    {func(e *End) { *e = End{} }, true},
		"channel":                    {func(e *End) { e.Channel++ }, false},
		"type":                       {func(e *End) { e.Type++ }, false},
		"flags":                      {func(e *End) { e.Flags++ }, false},
		"label":                      {func(e *End) { e.Label = "x" }, false},
		"duration":                   {func(e *End) { e.Duration++ }, false},
		"a negative duration":        {func(e *End) { e.Duration = -1 }, false},
		"waited":                     {func(e *End) { e.Waited = time.Hour }, false},
		"answered":                   {func(e *End) { e.Answered = time.Minute }, false},
		"request size":               {func(e *End) { e.RequestSize = 1 << 32 }, false},
		"response size":              {func(e *End) { e.ResponseSize = 1 << 32 }, false},
		"time in the peer's queue":   {func(e *End) { e.remote.queued++ }, false},
		"time of the peer's handler": {func(e *End) { e.remote.handled = 1 << 16 }, false},
	} {
		t.Run(name, func(t *testing.T) {
			e := most
			tt.change(&e)
			ends, to, conn := []End{{Tag: 7}, e, {Tag: 8}}, make([]PackedEnd, 3), new(ConnInfo)
			switch n := PackEnds(to, conn, 5, ends); {
			case tt.fits && n != 3 || !tt.fits && n != 1:
				t.Errorf("%d fit", n)
			case to[n-1].Unpack() != ends[n-1] || to[n-1].Conn != conn || to[n-1].Note != 5:
				t.Errorf("%+v, want %+v", to[n-1], ends[n-1])
			case tt.fits && to[1].Unpack() != e:
				t.Errorf("%+v, want %+v", to[1].Unpack(), e)
			case !tt.fits && to[1] != (PackedEnd{}):
				t.Errorf("it does not fit and has changed what was there: %+v", to[1])
			}
		})
	}
}

// A call in flight takes no more than four lines of the caches.
func TestCallSize(t *testing.T) {
	if size := unsafe.Sizeof(Call{}); size > 256 {
		t.Errorf("a call has %d bytes, want 256 at most", size)
	}
}
