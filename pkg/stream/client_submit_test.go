package stream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
)

// ending makes the connections that have the first few calls end just before
// those are submitted.
type ending struct {
	left int
}

func (o *ending) Events() EventSet { return Events(EventCallBegin) }

func (o *ending) Observe(context.Context, *Event) {}

func (o *ending) Begin(ctx context.Context, e *Event) context.Context {
	if o.left--; o.left >= 0 {
		e.Conn.EndSending()
	}
	return ctx
}

// Submit tries another connection when the one it has ends before anything was
// queued, but not for ever.
func TestClientSubmitRepeats(t *testing.T) {
	for _, c := range []struct {
		ends, attempts, wantDials int
		wantOK                    bool
	}{
		{0, 3, 1, true}, {1, 3, 2, true}, {2, 3, 3, true}, {3, 3, 3, false}, {1, 1, 1, false},
	} {
		t.Run(fmt.Sprintf("%d end, %d attempts", c.ends, c.attempts), func(t *testing.T) {
			exchanged(t, func(t *testing.T, x *exchange) {
				client := x.client(ClientOptions{DialAttempts: c.attempts, Conn: Options{Observer: &ending{left: c.ends}}})
				call, err := client.Submit(t.Context(), Request{Payload: []byte("x")})
				if c.wantOK != (err == nil) || !c.wantOK && !errors.Is(err, ErrClosed) {
					t.Fatalf("submitting: %v", err)
				}
				if len(x.dials) != c.wantDials {
					t.Errorf("dialled %d times, want %d", len(x.dials), c.wantDials)
				}
				if c.wantOK {
					if r, err := call.Wait(t.Context()); err != nil || string(r.Payload) != "x" {
						t.Errorf("%q, %v", r.Payload, err)
					}
				}
			})
		})
	}
}

// The error of a request for which there was no connection names it as any other.
func TestClientErrorNamesTheRequest(t *testing.T) {
	exchanged(t, func(t *testing.T, x *exchange) {
		x.answer = func(context.Context, int, net.Conn) error { return errors.New("nobody there") }
		client := x.client(ClientOptions{DialAttempts: 1})
		for label, want := range map[string]string{"": "rq_type=7,2bs", "mine": "mine"} {
			_, err := client.Call(t.Context(), Request{Type: 7, Payload: []byte("ab"), Label: label})
			if e := (*Error)(nil); !errors.As(err, &e) || e.Label != want {
				t.Errorf("%v: the label is not %q", err, want)
			}
		}
	})
}
