package e2e

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"path/filepath"
	"testing"
)

// objectStore is a running object store with a bucket, and how it can be reached.
type objectStore struct {
	*process
	addr string // HOST:PORT
	open bool   // to anybody
}

const (
	objectBucket = "blocks"
	objectKey    = "pktsvc-tests"
	objectSecret = "not-really-a-secret"
)

// objectCredentials are what a program needs besides the URL.
var objectCredentials = []string{"AWS_ACCESS_KEY_ID=" + objectKey, "AWS_SECRET_ACCESS_KEY=" + objectSecret}

// useObjectCredentials gives them to the test itself.
func useObjectCredentials(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", objectKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", objectSecret)
}

// url is where a store is, for --backend.
func (s *objectStore) url(prefix string) string {
	return "s3://" + objectBucket + "/" + prefix + "?endpoint=http://" + s.addr
}

// objectStores are the ones that stores are tested on, by name. Conditional says
// whether they create objects only where there is none.
var objectStores = []struct {
	name        string
	conditional bool
	start       func(*testing.T) *objectStore
}{
	{"rclone", true, startRclone},
	{"versitygw", true, startVersity},
	{"without conditional writes", false, startUnconditional},
}

// bucketFolder is a folder with a folder for the bucket.
func bucketFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, objectBucket), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// startRclone starts rclone serve s3 on a folder.
func startRclone(t *testing.T) *objectStore {
	t.Helper()
	return rclone(t, "--auth-key", objectKey+","+objectSecret)
}

func rclone(t *testing.T, flags ...string) *objectStore {
	t.Helper()
	s := &objectStore{addr: address(t)}
	s.process = run(t, program{
		name: "rclone", path: component(t, "rclone"),
		args: append([]string{"serve", "s3", bucketFolder(t), "--addr", s.addr}, flags...),
	})
	s.listens(t, s.addr)
	return s
}

// startUnconditional starts rclone with a proxy before it that takes the conditions off
// requests. It lets anybody in: what is taken off was signed.
func startUnconditional(t *testing.T) *objectStore {
	t.Helper()
	s := rclone(t)
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = "http", s.addr
		r.Out.Header.Del("If-None-Match")
	}, ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { // of requests that were given up
		w.WriteHeader(http.StatusBadGateway)
	}})
	t.Cleanup(proxy.Close)
	return &objectStore{process: s.process, addr: proxy.Listener.Addr().String(), open: true}
}

// startVersity starts a Versity gateway on a folder.
func startVersity(t *testing.T) *objectStore {
	t.Helper()
	s := &objectStore{addr: address(t)}
	s.process = run(t, program{
		name: "versitygw", path: component(t, "versitygw"),
		args: []string{"--port", s.addr, "--quiet", "--health", "/health", "posix", bucketFolder(t)},
		env:  []string{"ROOT_ACCESS_KEY=" + objectKey, "ROOT_SECRET_KEY=" + objectSecret},
	})
	s.ready(t, "http://"+s.addr+"/health")
	return s
}
