package diag_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/pktsvc/pktsvc/pkg/diag"
	"github.com/pktsvc/pktsvc/pkg/stream"
)

// Every answer of the service is verified as right, over a real connection.
func TestProbeAgainstService(t *testing.T) {
	conn, _ := connect(t, diag.Mux(), stream.Options{Handler: diag.CallBacks()})
	for typ := range uint64(8) {
		for _, size := range []int{0, 1, 8, 300} {
			probe := diag.NewProbe(typ, size, 7)
			for n := range uint64(40) {
				req := probe.Request(n)
				if typ != diag.TypeSleep && len(req.Payload) != size {
					t.Fatalf("type %d: a payload of %d bytes, want %d", typ, len(req.Payload), size)
				}
				resp, err := conn.Call(t.Context(), req)
				if e := (*stream.Error)(nil); typ == diag.TypeFail && errors.As(err, &e) && e.Outcome == stream.OutcomeRejected {
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if err := probe.Verify(resp); err != nil {
					t.Errorf("type %d, size %d, request %d: %v", typ, size, n, err)
				}
			}
		}
	}
}

func TestProbeFindsWrongAnswers(t *testing.T) {
	mux := diag.Mux()
	for typ := range uint64(7) {
		probe := diag.NewProbe(typ, 20, 7)
		right, err := mux.Serve(t.Context(), probe.Request(1))
		if typ == diag.TypeFail {
			if probe.Verify(stream.Response{}) == nil {
				t.Error("an ok answer of Fail is taken as right")
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		right.Payload = bytes.Clone(right.Payload)
		if err := probe.Verify(right); err != nil {
			t.Errorf("type %d: %v", typ, err)
		}
		wrong := []stream.Response{
			{Flags: right.Flags ^ 2, Payload: right.Payload},
			{Flags: right.Flags, Payload: append(bytes.Clone(right.Payload), 'x')},
		}
		for i := range right.Payload {
			w := bytes.Clone(right.Payload)
			w[i] ^= 0x40
			wrong = append(wrong, stream.Response{Flags: right.Flags, Payload: w})
		}
		if typ != diag.TypeText && typ != diag.TypeLength && typ != diag.TypeSleep {
			other, err := mux.Serve(t.Context(), diag.NewProbe(typ, 20, 7).Request(2))
			if err != nil {
				t.Fatal(err)
			}
			wrong = append(wrong, other)
		}
		for i, resp := range wrong {
			if probe.Verify(resp) == nil {
				t.Errorf("type %d: wrong answer %d is taken as right: %#x, %q", typ, i, resp.Flags, resp.Payload)
			}
		}
	}
}

func TestFixedProbe(t *testing.T) {
	payload := []byte("always the same payload")
	probe := diag.NewFixedProbe(diag.TypeEcho, payload)
	for n := range uint64(3) {
		if req := probe.Request(n); string(req.Payload) != "always the same payload" || req.Flags != n {
			t.Errorf("request %d: flags %d, %q", n, req.Flags, req.Payload)
		}
	}
}

func TestProbeAllocatesNothing(t *testing.T) {
	mux := diag.Mux()
	for _, typ := range []uint64{diag.TypeEcho, diag.TypeReverse, diag.TypeHash, diag.TypeLength} {
		probe := diag.NewProbe(typ, 64, 7)
		resp, err := mux.Serve(t.Context(), probe.Request(5))
		if err != nil {
			t.Fatal(err)
		}
		allocs := testing.AllocsPerRun(100, func() {
			probe.Request(5)
			if err := probe.Verify(resp); err != nil {
				t.Error(err)
			}
		})
		if allocs > 0 {
			t.Errorf("type %d: %v allocations for each request", typ, allocs)
		}
	}
}
