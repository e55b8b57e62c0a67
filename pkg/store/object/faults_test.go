package object

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pktsvc/pktsvc/pkg/store"
	"github.com/pktsvc/pktsvc/pkg/store/storetest"
)

type fault = func(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) bool

// answers refuses requests.
func answers(status int, code string) fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) bool {
		io.Copy(io.Discard, r.Body)
		refuse(w, r, status, code)
		return true
	}
}

// arrivesInPart refuses what was sent.
func arrivesInPart(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) bool {
	return r.Method == http.MethodPut && answers(http.StatusBadRequest, "IncompleteBody")(w, r, serve)
}

// drops breaks the connection without an answer.
func drops(http.ResponseWriter, *http.Request, http.HandlerFunc) bool {
	panic(http.ErrAbortHandler)
}

// losesTheAnswer does what is asked, and breaks the connection.
func losesTheAnswer(_ http.ResponseWriter, r *http.Request, serve http.HandlerFunc) bool {
	serve(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// breaksOff breaks the connection in the middle of the answer.
func breaksOff(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) bool {
	whole := httptest.NewRecorder()
	serve(whole, r)
	body := whole.Body.Bytes()
	for name, values := range whole.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(whole.Code)
	w.Write(body[:len(body)/2])
	if flusher, ok := w.(http.Flusher); ok {
		flusher.Flush()
	}
	panic(http.ErrAbortHandler)
}

// isSlow answers when nobody waits any more.
func isSlow(_ http.ResponseWriter, r *http.Request, _ http.HandlerFunc) bool {
	io.Copy(io.Discard, r.Body) // or the end of the connection is not noticed
	<-r.Context().Done()
	return true
}

// isSlowInTheMiddle is that after half of an answer.
func isSlowInTheMiddle(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) bool {
	if r.Method != http.MethodGet { // answers that have no body
		return isSlow(w, r, serve)
	}
	w.Header().Set("Content-Length", "100")
	w.Header().Set("Last-Modified", time.Unix(0, 0).UTC().Format(http.TimeFormat))
	w.Write(make([]byte, 50))
	if flusher, ok := w.(http.Flusher); ok {
		flusher.Flush()
	}
	<-r.Context().Done()
	return true
}

// times lets a fault happen to the first requests of each kind.
func times(n int, f fault) fault {
	var seen [3]atomic.Int64
	return func(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) bool {
		kind := 0
		switch {
		case r.URL.Query().Has("list-type"):
			kind = 1
		case r.Method == http.MethodPut:
			kind = 2
		}
		return seen[kind].Add(1) <= int64(n) && f(w, r, serve)
	}
}

var passing = map[string]fault{
	"500":                  answers(http.StatusInternalServerError, "InternalError"),
	"503":                  answers(http.StatusServiceUnavailable, "SlowDown"),
	"429":                  answers(http.StatusTooManyRequests, "TooManyRequests"),
	"502 without a reason": answers(http.StatusBadGateway, ""),
	"a conflict":           answers(http.StatusConflict, "ConditionalRequestConflict"),
	"a request cut short":  arrivesInPart,
	"no answer":            drops,
	"a lost answer":        losesTheAnswer,
	"half an answer":       breaksOff,
	"a slow answer":        isSlow,
	"an answer that hangs": isSlowInTheMiddle,
	"none":                 func(http.ResponseWriter, *http.Request, http.HandlerFunc) bool { return false },
}

// Whatever passes is not noticed, and nothing is done twice.
func TestFaultsThatPass(t *testing.T) {
	for name, f := range passing {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := newFake(t)
			s := fake.opened(t, func(o *Options) {
				if strings.Contains(name, "slow") || strings.Contains(name, "hangs") {
					o.Timeout = 50 * time.Millisecond
				}
				o.Cache = -1
			})
			ctx := t.Context()
			data := storetest.Block(1, 100)
			code := s.Class().Sum(data)
			archives := archivesOf(t, s)
			// Each step meets the fault once or more.
			fresh := func() { fake.breakWith(times(1, f)) }

			fresh()
			if added, err := s.Put(ctx, code, data); !added || err != nil {
				t.Errorf("Put: %v, %v", added, err)
			}
			fresh()
			if got, err := s.Get(ctx, code); !bytes.Equal(got, data) || err != nil {
				t.Errorf("Get: %q, %v", got, err)
			}
			fresh()
			if _, err := s.Get(ctx, s.Class().Sum(nil)); !errors.Is(err, store.ErrMissing) {
				t.Errorf("Get of a missing block: %v", err)
			}
			fresh()
			if has, err := s.Has(ctx, s.Class().Sum(nil)); has || err != nil {
				t.Errorf("Has of a missing block: %v, %v", has, err)
			}
			fresh()
			if n, err := s.Length(ctx); n != 1 || err != nil {
				t.Errorf("Length: %d, %v", n, err)
			}
			var got []string
			for _, entry := range []string{"one", "one", "two"} {
				fresh()
				if err := archives.Append(ctx, "log", []byte(entry)); err != nil {
					t.Errorf("Append: %v", err)
				}
			}
			fresh()
			for entry, err := range archives.Entries(ctx, "log") {
				if err != nil {
					t.Errorf("Entries: %v", err)
				}
				got = append(got, string(entry))
			}
			if strings.Join(got, ",") != "one,one,two" {
				t.Errorf("entries: %q", got)
			}
			fresh()
			if last, err := archives.Last(ctx, "log"); string(last) != "two" || err != nil {
				t.Errorf("Last: %q, %v", last, err)
			}
			if retries := s.Stats().Retries; (retries == 0) != (name == "none") {
				t.Errorf("%d retries", retries)
			}
		})
	}
}

func TestFaultsThatStay(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault fault
		want  error
		says  string
		tries uint64
	}{
		{"500", answers(http.StatusInternalServerError, "InternalError"), ErrUnavailable, `tried 3 times): the object store is not available: 500 "InternalError": "a message"`, 3},
		{"503", answers(http.StatusServiceUnavailable, "SlowDown"), ErrUnavailable, "SlowDown", 3},
		{"no answer", drops, ErrUnavailable, "", 3},
		{"an answer that hangs", isSlowInTheMiddle, ErrUnavailable, "no answer within 50ms", 3},
		{"denied", answers(http.StatusForbidden, "SignatureDoesNotMatch"), ErrDenied, "SignatureDoesNotMatch", 1},
		{"no bucket", answers(http.StatusNotFound, "NoSuchBucket"), ErrNoBucket, "", 1},
		{"full", answers(http.StatusInsufficientStorage, ""), store.ErrFull, "", 1},
		{"over the quota", answers(http.StatusForbidden, "QuotaExceeded"), store.ErrFull, "", 1},
		{"teapot", answers(http.StatusTeapot, "Teapot"), nil, "418", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			fake := newFake(t)
			s := fake.opened(t, func(o *Options) {
				if o.Tries, o.Cache = 3, -1; test.name == "an answer that hangs" {
					o.Timeout = 50 * time.Millisecond
				}
			})
			archives := archivesOf(t, s)
			fake.breakWith(test.fault)
			data := []byte("block")
			code := s.Class().Sum(data)
			start, _ := store.NewCode(store.SHA256, make([]byte, 32))
			for what, do := range map[string]func() error{
				"Get":    func() error { _, err := s.Get(t.Context(), code); return err },
				"Length": func() error { _, err := s.Length(t.Context()); return err },
				"Codes": func() (failed error) {
					for _, err := range s.Codes(t.Context(), start) {
						failed = errors.Join(failed, err)
					}
					return failed
				},
				"Append": func() error { return archives.Append(t.Context(), "log", data) },
				"Last":   func() error { _, err := archives.Last(t.Context(), "log"); return err },
				"Open":   func() error { _, err := Open(t.Context(), s.blocks.Options); return err },
			} {
				before := s.Stats()
				err := do()
				if err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
					t.Errorf("%s: %v, want %v and %q", what, err, test.want, test.says)
					continue
				}
				if errors.Is(err, store.ErrMissing) || errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s: %v, which is something else", what, err)
				}
				if strings.Contains(err.Error(), testSecret) || strings.Contains(err.Error(), "Signature=") {
					t.Errorf("%s: %v tells secrets", what, err)
				}
				after := s.Stats()
				if n := after.Gets + after.Heads + after.Lists + after.Puts - before.Gets - before.Heads - before.Lists - before.Puts; what != "Open" && n != test.tries {
					t.Errorf("%s: %d requests, want %d", what, n, test.tries)
				}
			}
		})
	}
}

// A HEAD has no body that would tell what is missing: the bucket shows by the put.
func TestPutWithoutABucket(t *testing.T) {
	f := newFake(t)
	s := f.opened(t, nil)
	f.breakWith(answers(http.StatusNotFound, "NoSuchBucket"))
	if _, err := s.Put(t.Context(), s.Class().Sum(nil), nil); !errors.Is(err, ErrNoBucket) {
		t.Errorf("Put: %v", err)
	}
}

// Every operation ends with its context, wherever it waits: for an answer, for the
// rest of one, for a slot, for another Put of the same block.
func TestContexts(t *testing.T) {
	for name, f := range map[string]fault{"slow": isSlow, "hangs": isSlowInTheMiddle, "unavailable": answers(http.StatusServiceUnavailable, "SlowDown")} {
		t.Run(name, func(t *testing.T) {
			fake := newFake(t)
			s := fake.opened(t, func(o *Options) { o.Requests, o.Tries = 1, 1000; o.Wait = time.Hour })
			archives := archivesOf(t, s)
			reached := make(chan struct{}, 100)
			fake.breakWith(func(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) bool {
				reached <- struct{}{}
				return f(w, r, serve)
			})
			cause := errors.New("enough")
			ctx, cancel := context.WithCancelCause(t.Context())
			ended := make(chan error)
			data := []byte("block")
			code := s.Class().Sum(data)
			operations := []func() error{
				func() error { _, err := s.Put(ctx, code, data); return err },
				func() error { _, err := s.Put(ctx, code, data); return err },
				func() error { _, err := s.Get(ctx, code); return err },
				func() error { _, err := s.Get(ctx, code); return err },
				func() error { _, err := s.Length(ctx); return err },
				func() error { return archives.Append(ctx, "log", data) },
			}
			for _, do := range operations {
				go func() { ended <- do() }()
			}
			<-reached
			cancel(cause)
			for range operations {
				if err := <-ended; !errors.Is(err, cause) {
					t.Errorf("ended with %v, want the cause", err)
				}
			}
		})
	}
}

// late answers a put before it has read the block, as connections may.
type late struct {
	*http.Transport
	body chan io.ReadCloser
}

func (l *late) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.Contains(r.URL.Path, "/blocks/") || r.Method != http.MethodPut {
		return l.Transport.RoundTrip(r)
	}
	l.body <- r.Body
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Header: make(http.Header), Request: r}, nil
}

// The caller may change a block as soon as Put has returned.
func TestPutKeepsNothing(t *testing.T) {
	l := &late{new(http.Transport), make(chan io.ReadCloser, 1)}
	s := newFake(t).opened(t, func(o *Options) { o.transport = l })
	t.Cleanup(l.CloseIdleConnections)
	data := []byte("block")
	if added, err := s.Put(t.Context(), s.Class().Sum(data), data); !added || err != nil {
		t.Errorf("Put: %v, %v", added, err)
	}
	clear(data)
	if sent, err := io.ReadAll(<-l.body); string(sent) != "block" || err != nil {
		t.Errorf("what is sent afterwards: %q, %v", sent, err)
	}
}

// An object store that says of everything that it exists does not keep an Append for
// ever.
func TestAppendEnds(t *testing.T) {
	f := newFake(t)
	s := f.opened(t, nil)
	f.breakWith(func(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) bool {
		return r.Method == http.MethodPut && answers(http.StatusPreconditionFailed, "PreconditionFailed")(w, r, serve)
	})
	if err := archivesOf(t, s).Append(t.Context(), "log", nil); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Append: %v", err)
	}
	if got := s.Stats().Conflicts; got != maxConflicts {
		t.Errorf("%d conflicts, want %d", got, maxConflicts)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	f := newFake(t)
	s := f.opened(t, func(o *Options) { o.MaxBlock = 1000 })
	f.breakWith(func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) bool {
		w.Header().Set("Last-Modified", time.Unix(0, 0).UTC().Format(http.TimeFormat))
		w.Header().Set("Transfer-Encoding", "chunked") // without a length
		for range 1000 {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return true
			}
		}
		t.Error("all was read")
		return true
	})
	if _, err := s.Get(t.Context(), s.Class().Sum(nil)); err == nil {
		t.Error("Get was content")
	}
}
