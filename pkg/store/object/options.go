package object

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7/pkg/s3utils"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// Options say where the store is and how to treat the object store. Bucket is
// needed; the zero value of everything else works. [ParseURL] makes the first part
// of a URL.
type Options struct {
	Bucket string // which must exist
	Prefix string // before all keys, without a slash at its ends; "" for none

	// Endpoint is the URL of the object store, http or https, without a path. Default
	// is that of Amazon S3.
	Endpoint string

	// Region is what requests are signed for. Default is AWS_REGION, else us-east-1 for
	// an Endpoint, else what Amazon says of the bucket.
	Region string

	// PathStyle has the bucket in the path of URLs and not in the name of the host. It
	// is so for endpoints other than Amazon's anyway.
	PathStyle bool

	// Class is the hash class of a new store, and the one that an existing store must
	// have.
	Class store.Class

	// Timeout is how long one request may take, until its last byte. Default 30 s.
	Timeout time.Duration

	// Tries is how often a request is made at most while the object store fails to
	// answer it: for server errors, "slow down", broken connections, timeouts. Default 5.
	Tries int

	// Wait is about how long to wait before the second try; it doubles with each one,
	// up to 20 times Wait, and differs by chance by half. Default 100 ms.
	Wait time.Duration

	// Requests is how many requests are under way at a time; more wait. Default 64.
	Requests int

	// MaxBlock is the longest block or entry that is stored or read, in bytes. Default
	// 64 MiB.
	MaxBlock int

	// Known is how many codes of blocks that are there are remembered, so that they are
	// neither sent nor asked for again. Default 65536, about 10 MiB.
	Known int

	// Cache is the size of the cache of blocks that were read, in bytes. Default 64 MiB;
	// negative for none.
	Cache int64

	transport http.RoundTripper // tests have others
}

// Defaults of [Options].
const (
	DefaultTimeout  = 30 * time.Second
	DefaultTries    = 5
	DefaultWait     = 100 * time.Millisecond
	DefaultRequests = 64
	DefaultMaxBlock = 64 << 20
	DefaultKnown    = 64 << 10
)

const (
	amazon        = "https://s3.amazonaws.com"
	defaultRegion = "us-east-1"
)

// frozen are options that have been checked, with nothing left to default.
type frozen struct {
	Options
	host   string // of the endpoint, with its port
	secure bool
}

func (o Options) freeze() (frozen, error) {
	f := frozen{Options: o}
	if err := s3utils.CheckValidBucketName(o.Bucket); err != nil {
		return f, fmt.Errorf("bucket %.80q: %w", o.Bucket, err)
	}
	if err := checkPrefix(o.Prefix); err != nil {
		return f, err
	}
	if _, err := store.ParseClass(o.Class.String()); err != nil {
		return f, err
	}
	if f.Region == "" {
		f.Region = os.Getenv("AWS_REGION")
	}
	if f.Region == "" && f.Endpoint != "" {
		f.Region = defaultRegion
	}
	if f.Endpoint == "" {
		f.Endpoint = amazon
	}
	var err error
	if f.host, f.secure, err = splitEndpoint(f.Endpoint); err != nil {
		return f, err
	}
	orDefault(&f.Timeout, DefaultTimeout)
	orDefault(&f.Tries, DefaultTries)
	orDefault(&f.Wait, DefaultWait)
	orDefault(&f.Requests, DefaultRequests)
	orDefault(&f.MaxBlock, DefaultMaxBlock)
	orDefault(&f.Known, DefaultKnown)
	return f, nil
}

func orDefault[T ~int | ~int64](value *T, otherwise T) {
	if *value <= 0 {
		*value = otherwise
	}
}

// splitEndpoint checks an endpoint. Its errors do not repeat it: it may have a
// password.
func splitEndpoint(endpoint string) (host string, secure bool, err error) {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return "", false, errors.New("endpoint: want http://HOST:PORT or https://HOST:PORT")
	case u.User != nil:
		return "", false, errors.New("endpoint: credentials do not belong into a URL; they are taken from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return "", false, errors.New("endpoint: want nothing behind the host and port")
	}
	return u.Host, u.Scheme == "https", nil
}

// maxPrefix leaves room for the longest key below: that of an archive whose name
// consists of escapes.
const maxPrefix = 200

func checkPrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	if len(prefix) > maxPrefix {
		return fmt.Errorf("prefix: %d bytes, want %d at most", len(prefix), maxPrefix)
	}
	for part := range strings.SplitSeq(prefix, "/") {
		if part == "" || strings.Trim(part, ".") == "" {
			return errors.New("prefix: want parts with a slash between two, none empty or of dots")
		}
		for _, r := range part {
			if !plain(r) && r != '.' {
				return errors.New("prefix: want letters, digits, slashes and -_. only")
			}
		}
	}
	return nil
}
