package stream

import (
	"context"
	"encoding"
	"fmt"
)

// Method describes one typed request: its number, its name, and how the request
// Q and the response R become flags and payload. It is declared once, as a
// variable, and used by both sides (BaseRequest of the Python package):
//
//	var Add = stream.Method[Pair, Sum]{Type: 1, Name: "Add"}
//
// A Method is a value; its methods may be called concurrently.
type Method[Q, R any] struct {
	Type     uint64
	Name     string
	Channel  uint64   // where requests go; the mux must be that channel's, see Options.Channels
	Request  Codec[Q] // zero: see Codec
	Response Codec[R] // zero: see Codec

	// Idempotent lets a Client send the request again after a lost connection.
	Idempotent bool
}

// Codec turns a T into flags and a payload and back. Where a function is nil,
// the type's own methods are used: [encoding.BinaryAppender] or
// [encoding.BinaryMarshaler] one way, [encoding.BinaryUnmarshaler] on *T the
// other, with flags 0 unless T has a method Flags() uint64; besides, []byte,
// string and struct{} (an empty payload) need no methods.
type Codec[T any] struct {
	// Append appends the payload of v to dst and returns it with the flags.
	Append func(dst []byte, v T) (payload []byte, flags uint64, err error)
	// Parse builds the value. It fails when payload bytes are left over, and
	// copies what it keeps of the payload.
	Parse func(flags uint64, payload []byte) (T, error)
}

func (c Codec[T]) append(dst []byte, v T) (payload []byte, flags uint64, err error) {
	if c.Append != nil {
		return c.Append(dst, v)
	}
	if f, ok := any(v).(interface{ Flags() uint64 }); ok {
		flags = f.Flags()
	}
	switch x := any(v).(type) {
	case encoding.BinaryAppender:
		payload, err = x.AppendBinary(dst)
	case encoding.BinaryMarshaler:
		var b []byte
		b, err = x.MarshalBinary()
		payload = append(dst, b...)
	case []byte:
		payload = append(dst, x...)
	case string:
		payload = append(dst, x...)
	case struct{}:
		payload = dst
	default:
		err = fmt.Errorf("%T has no AppendBinary or MarshalBinary, and its Codec no Append", v)
	}
	return payload, flags, err
}

func (c Codec[T]) parse(flags uint64, payload []byte) (v T, err error) {
	if c.Parse != nil {
		return c.Parse(flags, payload)
	}
	switch x := any(&v).(type) {
	case encoding.BinaryUnmarshaler:
		err = x.UnmarshalBinary(payload)
	case *[]byte:
		*x = append([]byte(nil), payload...)
	case *string:
		*x = string(payload)
	case *struct{}:
		if len(payload) > 0 {
			err = fmt.Errorf("%d bytes are left over, want none", len(payload))
		}
	default:
		err = fmt.Errorf("*%T has no UnmarshalBinary, and its Codec no Parse", v)
	}
	return v, err
}

// Caller is what requests can be sent over: a [*Conn] or a [*Client].
type Caller interface {
	Call(ctx context.Context, req Request) (Response, error)
	Submit(ctx context.Context, req Request) (*Call, error)
}

// Do sends q and waits for its response (conn_do_remote). Besides the errors of
// [Conn.Call] it fails when q does not encode or the response does not decode.
func (m Method[Q, R]) Do(ctx context.Context, to Caller, q Q) (R, error) {
	req, err := m.encode(q)
	if err != nil {
		var none R
		return none, err
	}
	resp, err := to.Call(ctx, req)
	return m.decode(resp, err)
}

// Submit sends q and returns at once (conn_submit); the result is decoded when
// it is waited for.
func (m Method[Q, R]) Submit(ctx context.Context, to Caller, q Q) (*TypedCall[Q, R], error) {
	req, err := m.encode(q)
	if err != nil {
		return nil, err
	}
	call, err := to.Submit(ctx, req)
	if err != nil {
		return nil, err
	}
	return &TypedCall[Q, R]{Call: call, method: m}, nil
}

// Handle registers fulfil on the mux under the method's number and name. A
// request that does not decode, and an error of fulfil, are answered not ok.
// Code in fulfil finds the connection and the tag by [RequestFromContext].
func (m Method[Q, R]) Handle(mux *Mux, fulfil func(ctx context.Context, q Q) (R, error)) {
	if fulfil == nil {
		mux.HandleFunc(m.Type, m.Name, nil) // which panics, now and not when a request comes
	}
	mux.HandleFunc(m.Type, m.Name, func(ctx context.Context, req Request) (Response, error) {
		q, err := m.Request.parse(req.Flags, req.Payload)
		if err != nil {
			return Response{}, fmt.Errorf("%s: %w: %w", m.Name, errUndecodable, err)
		}
		r, err := fulfil(ctx, q)
		if err != nil {
			return Response{}, err
		}
		payload, flags, err := m.Response.append(nil, r)
		if err != nil {
			return Response{}, fmt.Errorf("%s: encode response: %w", m.Name, err)
		}
		return Response{Flags: flags, Payload: payload}, nil
	})
}

func (m Method[Q, R]) encode(q Q) (Request, error) {
	payload, flags, err := m.Request.append(nil, q)
	if err != nil {
		return Request{}, fmt.Errorf("%s: encode request: %w", m.Name, err)
	}
	return Request{Type: m.Type, Flags: flags, Channel: m.Channel, Payload: payload, Label: m.Name, Idempotent: m.Idempotent}, nil
}

func (m Method[Q, R]) decode(resp Response, err error) (R, error) {
	var none R
	if err != nil {
		return none, err
	}
	r, err := m.Response.parse(resp.Flags, resp.Payload)
	if err != nil {
		return none, fmt.Errorf("%s: decode response: %w", m.Name, err)
	}
	return r, nil
}

// TypedCall is a submitted typed request.
type TypedCall[Q, R any] struct {
	*Call
	method Method[Q, R]
}

// Wait is [Call.Wait] with the response decoded.
func (c *TypedCall[Q, R]) Wait(ctx context.Context) (R, error) {
	resp, err := c.Call.Wait(ctx)
	return c.method.decode(resp, err)
}
