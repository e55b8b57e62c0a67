package object

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// fake is an object store in this process: one bucket, and as much of S3 as is needed.
type fake struct {
	server *httptest.Server

	// Set before it is used.
	ignores bool // If-None-Match
	refuses bool // the same, with an error
	page    int  // keys in a page at most

	// fault may answer a request in place of the fake, or let it do so by serve, and
	// reports whether it has. It is called concurrently.
	fault func(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) bool

	mu       sync.Mutex
	objects  map[string]thing
	requests map[string]int // by method
}

type thing struct {
	data []byte
	meta http.Header
}

const (
	testBucket = "bucket"
	testKey    = "AKIDFORTESTS"
	testSecret = "secret-for-tests"
)

// newFake starts one, which ends with the test.
func newFake(t testing.TB) *fake {
	f := &fake{page: 1000, objects: make(map[string]thing), requests: make(map[string]int)}
	f.server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.server.Close)
	return f
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.requests[r.Method]++
	fault := f.fault
	f.mu.Unlock()
	if fault != nil && fault(w, r, f.handle) {
		return
	}
	f.handle(w, r)
}

func (f *fake) handle(w http.ResponseWriter, r *http.Request) {
	if !strings.Contains(r.Header.Get("Authorization"), "Credential="+testKey) {
		refuse(w, r, http.StatusForbidden, "AccessDenied")
		return
	}
	name, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if name != testBucket {
		refuse(w, r, http.StatusNotFound, "NoSuchBucket")
		return
	}
	switch {
	case key == "" && r.URL.Query().Get("list-type") == "2":
		f.list(w, r.URL.Query())
	case r.Method == http.MethodPut:
		f.put(w, r, key)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		f.mu.Lock()
		o, there := f.objects[key]
		f.mu.Unlock()
		if !there {
			refuse(w, r, http.StatusNotFound, "NoSuchKey")
			return
		}
		maps.Copy(w.Header(), o.meta)
		w.Header().Set("Last-Modified", time.Unix(0, 0).UTC().Format(http.TimeFormat))
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Content-Length", strconv.Itoa(len(o.data)))
		if r.Method == http.MethodGet {
			w.Write(o.data)
		}
	default:
		refuse(w, r, http.StatusNotImplemented, "NotImplemented")
	}
}

func (f *fake) put(w http.ResponseWriter, r *http.Request, key string) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		refuse(w, r, http.StatusBadRequest, "IncompleteBody")
		return
	}
	if sum := sha256.Sum256(data); r.Header.Get("X-Amz-Content-Sha256") != hex.EncodeToString(sum[:]) {
		refuse(w, r, http.StatusBadRequest, "XAmzContentSHA256Mismatch")
		return
	}
	conditional := r.Header.Get("If-None-Match") == "*"
	if conditional && f.refuses {
		refuse(w, r, http.StatusNotImplemented, "NotImplemented")
		return
	}
	o := thing{data, make(http.Header)}
	for name, values := range r.Header {
		if strings.HasPrefix(name, "X-Amz-Meta-") {
			o.meta[name] = values
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, there := f.objects[key]; there && conditional && !f.ignores {
		refuse(w, r, http.StatusPreconditionFailed, "PreconditionFailed")
		return
	}
	f.objects[key] = o
	w.Header().Set("ETag", `"1"`)
}

func (f *fake) list(w http.ResponseWriter, query url.Values) {
	type content struct{ Key string }
	var answer struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		IsTruncated           bool
		EncodingType          string
		NextContinuationToken string
		Contents              []content
	}
	answer.EncodingType = "url"
	after := cmp.Or(query.Get("continuation-token"), query.Get("start-after"))
	most, _ := strconv.Atoi(query.Get("max-keys"))
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(f.objects)) {
		if !strings.HasPrefix(key, query.Get("prefix")) || key <= after {
			continue
		}
		if len(answer.Contents) == min(most, f.page) {
			answer.IsTruncated, answer.NextContinuationToken = true, after
			break
		}
		answer.Contents = append(answer.Contents, content{url.QueryEscape(key)})
		after = key
	}
	w.Header().Set("Content-Type", "application/xml")
	_ = xml.NewEncoder(w).Encode(answer)
}

// refuse answers with an error.
func refuse(w http.ResponseWriter, r *http.Request, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>a message</Message></Error>", code)
	}
}

// set changes what is there.
func (f *fake) set(change func(objects map[string]thing)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f.objects)
}

// breakWith lets a fault come in between; nil for none.
func (f *fake) breakWith(fault func(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

// count is how many requests there were since the last count, of all methods.
func (f *fake) count() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, count := range f.requests {
		n += count
	}
	clear(f.requests)
	return n
}
