package stream

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
)

// codecPoint has every optional method: flags computed from a field, and both
// directions of its binary form.
type codecPoint struct{ X, Y uint64 }

func (p codecPoint) Flags() uint64 { return p.X % 8 }

func (p codecPoint) AppendBinary(dst []byte) ([]byte, error) {
	if p.X == 13 {
		return dst, errors.New("unlucky")
	}
	return AppendUint(AppendUint(dst, p.X), p.Y), nil
}

func (p *codecPoint) UnmarshalBinary(b []byte) error {
	x, n, err := ConsumeUint(b)
	if err != nil {
		return err
	}
	y, m, err := ConsumeUint(b[n:])
	if err != nil {
		return err
	}
	if n+m != len(b) {
		return errors.New("bytes are left over")
	}
	*p = codecPoint{x, y}
	return nil
}

// codecOld has the older form of encoding alone.
type codecOld uint16

func (o codecOld) MarshalBinary() ([]byte, error) {
	return binary.BigEndian.AppendUint16(nil, uint16(o)), nil
}

func (o *codecOld) UnmarshalBinary(b []byte) error {
	if len(b) != 2 {
		return errors.New("want two bytes")
	}
	*o = codecOld(binary.BigEndian.Uint16(b))
	return nil
}

// checkCodec sends v through c and back.
func checkCodec[T any](t *testing.T, c Codec[T], v T, flags uint64, payload string, equal func(a, b T) bool) {
	t.Helper()
	got, gotFlags, err := c.append([]byte("before"), v)
	if err != nil || string(got) != "before"+payload || gotFlags != flags {
		t.Errorf("%T: encoded as %q, flags %d, %v; want %q behind what was there, flags %d", v, got, gotFlags, err, payload, flags)
		return
	}
	wire := []byte(payload)
	back, err := c.parse(flags, wire)
	clear(wire) // the value must have copied what it keeps
	if err != nil || !equal(back, v) {
		t.Errorf("%T: decoded as %v, %v; want %v", v, back, err, v)
	}
}

func sameValue[T comparable](a, b T) bool { return a == b }

func TestCodecForms(t *testing.T) {
	checkCodec(t, Codec[codecPoint]{}, codecPoint{11, 300}, 3, "\x0b\x82\x2c", sameValue)
	checkCodec(t, Codec[codecOld]{}, codecOld(0x1234), 0, "\x12\x34", sameValue)
	checkCodec(t, Codec[string]{}, "héllo", 0, "héllo", sameValue)
	checkCodec(t, Codec[[]byte]{}, []byte("bytes"), 0, "bytes", bytes.Equal)
	checkCodec(t, Codec[struct{}]{}, struct{}{}, 0, "", sameValue)
	checkCodec(t, Codec[[]uint64]{
		Append: func(dst []byte, v []uint64) ([]byte, uint64, error) {
			for _, n := range v {
				dst = AppendUint(dst, n)
			}
			return dst, uint64(len(v)), nil
		},
		Parse: func(flags uint64, payload []byte) (v []uint64, err error) {
			for range flags {
				n, size, err := ConsumeUint(payload)
				if err != nil {
					return nil, err
				}
				v, payload = append(v, n), payload[size:]
			}
			return v, nil
		},
	}, []uint64{1, 128, 3}, 3, "\x01\x81\x00\x03", slices.Equal)
}

func TestCodecErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		err  func() error
		says string
	}{
		"no way to encode": {func() error { _, _, err := Codec[int]{}.append(nil, 5); return err }, "int has no AppendBinary"},
		"no way to decode": {func() error { _, err := Codec[int]{}.parse(0, nil); return err }, "*int has no UnmarshalBinary"},
		"does not encode":  {func() error { _, _, err := Codec[codecPoint]{}.append(nil, codecPoint{X: 13}); return err }, "unlucky"},
		"left over":        {func() error { _, err := Codec[struct{}]{}.parse(0, []byte("ab")); return err }, "2 bytes are left over"},
		"too short":        {func() error { _, err := Codec[codecOld]{}.parse(0, []byte("a")); return err }, "want two bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := tt.err(); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want an error that says %q", err, tt.says)
			}
		})
	}
}

// directCaller is a [Caller] that asks a handler without a connection between.
type directCaller struct {
	handler Handler
	asked   Request
}

func (d *directCaller) Call(ctx context.Context, req Request) (Response, error) {
	d.asked = req
	return d.handler.Serve(ctx, req)
}

func (d *directCaller) Submit(context.Context, Request) (*Call, error) {
	return nil, ErrClosed
}

var shiftMethod = Method[codecPoint, codecPoint]{Type: 40, Name: "Shift", Channel: 3, Idempotent: true}

func shifted(_ context.Context, p codecPoint) (codecPoint, error) {
	if p.Y == 0 {
		return codecPoint{}, Reject("Y is zero")
	}
	return codecPoint{p.X + 1, p.Y}, nil
}

func TestMethodDo(t *testing.T) {
	var mux Mux
	shiftMethod.Handle(&mux, shifted)
	if mux.Names()[40] != "Shift" {
		t.Errorf("the mux knows %v", mux.Names())
	}
	to := &directCaller{handler: &mux}
	got, err := shiftMethod.Do(t.Context(), to, codecPoint{10, 300})
	if err != nil || got != (codecPoint{11, 300}) {
		t.Errorf("%v, %v", got, err)
	}
	a := to.asked
	if a.Type != 40 || a.Channel != 3 || a.Flags != 2 || a.Label != "Shift" || !a.Idempotent || string(a.Payload) != "\x0a\x82\x2c" {
		t.Errorf("sent %+v", a)
	}
}

func TestMethodErrors(t *testing.T) {
	var mux Mux
	shiftMethod.Handle(&mux, shifted)
	wrong := HandlerFunc(func(context.Context, Request) (Response, error) { return Response{Payload: []byte{0x81}}, nil })
	ctx := t.Context()

	t.Run("request does not encode", func(t *testing.T) {
		to := &directCaller{handler: &mux}
		_, err := shiftMethod.Do(ctx, to, codecPoint{X: 13})
		if err == nil || !strings.Contains(err.Error(), "Shift: encode request: unlucky") || to.asked.Type != 0 {
			t.Errorf("%v, sent %+v", err, to.asked)
		}
		if _, err := shiftMethod.Submit(ctx, to, codecPoint{X: 13}); err == nil || errors.Is(err, ErrClosed) {
			t.Errorf("submit: %v", err)
		}
	})
	t.Run("submit is refused", func(t *testing.T) {
		if call, err := shiftMethod.Submit(ctx, &directCaller{}, codecPoint{}); call != nil || !errors.Is(err, ErrClosed) {
			t.Errorf("%v, %v", call, err)
		}
	})
	t.Run("response does not decode", func(t *testing.T) {
		got, err := shiftMethod.Do(ctx, &directCaller{handler: wrong}, codecPoint{1, 1})
		if err == nil || !strings.Contains(err.Error(), "Shift: decode response") || !errors.Is(err, errUintShort) || got != (codecPoint{}) {
			t.Errorf("%v, %v", got, err)
		}
	})
	t.Run("fulfil rejects", func(t *testing.T) {
		rejection := (*Rejection)(nil)
		if _, err := shiftMethod.Do(ctx, &directCaller{handler: &mux}, codecPoint{1, 0}); !errors.As(err, &rejection) || string(rejection.Payload) != "Y is zero" {
			t.Errorf("%v", err)
		}
	})
	t.Run("request does not decode", func(t *testing.T) {
		for _, payload := range []string{"", "\x01", "\x81", "\x01\x01\x01"} {
			_, err := mux.Serve(ctx, Request{Type: 40, Payload: []byte(payload)})
			if !errors.Is(err, errUndecodable) || !strings.HasPrefix(err.Error(), "Shift: ") {
				t.Errorf("%x: %v", payload, err)
			}
		}
	})
	t.Run("response does not encode", func(t *testing.T) {
		if _, err := shiftMethod.Do(ctx, &directCaller{handler: &mux}, codecPoint{12, 1}); err == nil || !strings.Contains(err.Error(), "Shift: encode response: unlucky") {
			t.Errorf("%v", err)
		}
	})
}

// Over a connection: submitted ahead, decoded when waited for, each with its own
// answer; what the server cannot decode comes back as a rejection.
func TestMethodSubmit(t *testing.T) {
	ctx := deadline(t)
	var mux Mux
	m := Method[codecPoint, codecPoint]{Type: 40, Name: "Shift"}
	m.Handle(&mux, func(ctx context.Context, p codecPoint) (codecPoint, error) {
		if req, ok := RequestFromContext(ctx); !ok || req.Type != 40 || req.Flags != p.Flags() || req.Conn == nil {
			return codecPoint{}, errors.New("the handler's context does not lead to its request")
		}
		return shifted(ctx, p)
	})
	a, _ := connected(t, "pipe", Options{}, Options{Handler: &mux})
	var calls []*TypedCall[codecPoint, codecPoint]
	for i := range uint64(10) {
		call, err := m.Submit(ctx, a, codecPoint{i, 1000 + i})
		if err != nil {
			t.Fatal(err)
		}
		if call.Label() != "Shift" {
			t.Errorf("label %q", call.Label())
		}
		calls = append(calls, call)
	}
	for i, call := range calls {
		got, err := call.Wait(ctx)
		if want := (codecPoint{uint64(i) + 1, 1000 + uint64(i)}); err != nil || got != want || call.Outcome() != OutcomeOK {
			t.Errorf("%v, %v, %v; want %v", got, err, call.Outcome(), want)
		}
	}
	_, err := Method[string, struct{}]{Type: 40, Name: "Wrong"}.Do(ctx, a, "\x81")
	if e := (*Error)(nil); !errors.As(err, &e) || e.Outcome != OutcomeRejected || string(e.Payload) != textFailed {
		t.Errorf("%v, want it rejected with %q", err, textFailed)
	}
	if _, ok := RequestFromContext(ctx); ok {
		t.Error("a request was found in a context that has none")
	}
}
