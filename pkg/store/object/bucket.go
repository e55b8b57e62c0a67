package object

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"golang.org/x/sync/semaphore"
)

// bucket does what is needed of the object store, with retries, timeouts and
// limits. Its methods may be called concurrently.
type bucket struct {
	frozen
	client    minio.Core
	transport *http.Transport
	slots     *semaphore.Weighted // requests under way
	counts    counts

	// conditional: the object store creates objects only where there is none. Set
	// before anything else uses the bucket.
	conditional bool
}

func newBucket(f frozen) (*bucket, error) {
	transport, err := minio.DefaultTransport(f.secure)
	if err != nil {
		return nil, err
	}
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = f.Requests, f.Requests
	transport.ResponseHeaderTimeout = f.Timeout
	var through http.RoundTripper = transport
	if f.transport != nil {
		through = f.transport
	}
	lookup := minio.BucketLookupAuto
	if f.PathStyle {
		lookup = minio.BucketLookupPath
	}
	client, err := minio.New(f.host, &minio.Options{
		Creds: credentials.NewChainCredentials([]credentials.Provider{
			&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{},
		}),
		Secure:       f.secure,
		Region:       f.Region,
		BucketLookup: lookup,
		Transport:    &bounded{through, f.MaxBlock},
		// Tries are up to attempts.go, which knows of answers that break off. The library
		// still waits after one that failed, for up to 0.2 s.
		MaxRetries: 1,
	})
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	return &bucket{
		frozen: f, client: minio.Core{Client: client}, transport: transport,
		slots: semaphore.NewWeighted(int64(f.Requests)),
	}, nil
}

func (b *bucket) close() { b.transport.CloseIdleConnections() }

// get returns an object.
func (b *bucket) get(ctx context.Context, key string) (data []byte, err error) {
	err = b.attempt(ctx, "get", key, func(ctx context.Context) error {
		b.counts.gets.Add(1)
		body, info, _, err := b.client.GetObject(ctx, b.Bucket, key, minio.GetObjectOptions{})
		if err != nil {
			return err
		}
		defer body.Close()
		if info.Size > int64(b.MaxBlock) {
			return &tooLongError{b.MaxBlock}
		}
		if info.Size < 0 { // the object store does not say
			data, err = io.ReadAll(body)
			return err
		}
		data = make([]byte, info.Size)
		_, err = io.ReadFull(body, data)
		return err
	})
	if err != nil {
		return nil, err
	}
	b.counts.read.Add(uint64(len(data)))
	return data, nil
}

// has reports whether there is an object.
func (b *bucket) has(ctx context.Context, key string) (bool, error) {
	_, err := b.stat(ctx, key)
	if isMissing(err) {
		return false, nil
	}
	return err == nil, err
}

func (b *bucket) stat(ctx context.Context, key string) (info minio.ObjectInfo, err error) {
	err = b.attempt(ctx, "head", key, func(ctx context.Context) (err error) {
		b.counts.heads.Add(1)
		info, err = b.client.StatObject(ctx, b.Bucket, key, minio.StatObjectOptions{})
		return err
	})
	return info, err
}

// writerKey is the metadata that tells the writes of an object apart.
const writerKey = "Pktsvc-Writer"

// create writes an object and reports whether it was this call that did. Without
// conditional writes it replaces what is there and reports true.
func (b *bucket) create(ctx context.Context, key string, data []byte) (created bool, err error) {
	return b.write(ctx, key, data, b.conditional)
}

// replace writes an object, whatever is there.
func (b *bucket) replace(ctx context.Context, key string, data []byte) error {
	_, err := b.write(ctx, key, data, false)
	return err
}

func (b *bucket) write(ctx context.Context, key string, data []byte, conditional bool) (written bool, err error) {
	if len(data) > b.MaxBlock {
		return false, &tooLongError{b.MaxBlock}
	}
	// The connection may still read what a request sends when the request has been
	// given up, and the caller change it: the object would be neither.
	data = bytes.Clone(data)
	writer, tries := rand.Text(), 0
	err = b.attempt(ctx, "put", key, func(ctx context.Context) error {
		tries++
		return b.put(ctx, key, data, writer, conditional)
	})
	if !errors.Is(err, errExists) {
		return err == nil, err
	}
	if tries == 1 {
		return false, nil
	}
	// An earlier try may have come through, but not its answer.
	info, err := b.stat(ctx, key)
	return info.UserMetadata[writerKey] == writer, err
}

// put makes one request to write an object. data is not changed afterwards.
func (b *bucket) put(ctx context.Context, key string, data []byte, writer string, conditional bool) error {
	b.counts.puts.Add(1)
	sum := sha256.Sum256(data) // by which the object store can tell that it got all, unchanged
	o := minio.PutObjectOptions{
		ContentType:          "application/octet-stream",
		UserMetadata:         map[string]string{writerKey: writer},
		DisableContentSha256: true, // by parts; this is of the whole
	}
	if conditional {
		o.SetMatchETagExcept("*")
	}
	_, err := b.client.PutObject(ctx, b.Bucket, key, bytes.NewReader(data), int64(len(data)), "", hex.EncodeToString(sum[:]), o)
	if err == nil {
		b.counts.written.Add(uint64(len(data)))
	}
	return err
}

// pageLength is how many keys are listed at a time: as many as S3 gives.
const pageLength = 1000

// list yields what keys with a prefix have behind it, in ascending order, from
// behind the key after on, which may be "". After an error nothing comes.
func (b *bucket) list(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for {
			page, err := b.page(ctx, prefix, after)
			if err != nil {
				yield("", err)
				return
			}
			for _, key := range page {
				if !yield(strings.TrimPrefix(key, prefix), nil) {
					return
				}
				after = key
			}
			if len(page) < pageLength {
				return
			}
		}
	}
}

// page lists as much at once. It makes several requests if the object store gives
// less at a time, and asks again for what is out of order: some are only while something
// is being written.
func (b *bucket) page(ctx context.Context, prefix, after string) (keys []string, err error) {
	err = b.attempt(ctx, "list", prefix, func(ctx context.Context) error {
		b.counts.lists.Add(1)
		keys = keys[:0]
		owner, last := false, after
		for object := range b.client.ListObjectsIter(ctx, b.Bucket, minio.ListObjectsOptions{
			Prefix: prefix, StartAfter: after, Recursive: true, MaxKeys: pageLength, FetchOwner: &owner,
		}) {
			if object.Err != nil {
				return object.Err
			}
			if !strings.HasPrefix(object.Key, prefix) || object.Key <= last {
				return fmt.Errorf("%w: %.200q with the prefix %q after %.200q", ErrListing, object.Key, prefix, last)
			}
			last = object.Key
			if keys = append(keys, object.Key); len(keys) == pageLength {
				return nil
			}
		}
		return ctx.Err() // with which the library ends a list without a word
	})
	if err != nil {
		return nil, err
	}
	return keys, nil
}

// bounded ends answers that are longer than any object may be.
type bounded struct {
	http.RoundTripper
	limit int
}

// moreThanObjects is what answers may have that are no objects, and objects around
// their bytes.
const moreThanObjects = 1 << 20

func (t *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := t.RoundTripper.RoundTrip(r)
	if err == nil {
		answer.Body = &boundedBody{answer.Body, t.limit + moreThanObjects, t.limit}
	}
	return answer, err
}

type boundedBody struct {
	io.ReadCloser
	left, limit int
}

func (b *boundedBody) Read(p []byte) (n int, err error) {
	n, err = b.ReadCloser.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, &tooLongError{b.limit}
	}
	return n, err
}
