package object

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/pktsvc/pktsvc/pkg/store"
)

// The conditions that errors of this package match with errors.Is, beside those
// of package store: ErrMissing, ErrFull, ErrOtherClass, ErrNoArchives.
var (
	// ErrUnavailable: the object store did not do it, however often it was asked. It may
	// have done what it was asked to do.
	ErrUnavailable = errors.New("the object store is not available")
	// ErrDenied: the object store does not let these credentials do it.
	ErrDenied = errors.New("the object store denies access; check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the bucket's policy")
	// ErrNoBucket: there is no such bucket; it must be made first.
	ErrNoBucket = errors.New("the object store has no such bucket")
	// ErrListing: the object store lists keys in another order than it should.
	ErrListing = errors.New("the object store does not list in order")
)

// errExists: an object that was to be created is there.
var errExists = errors.New("exists")

// errRefused: the object store does not know how to do it.
var errRefused = errors.New("the object store refuses the request")

// classify names the condition of a request that has failed, and reports whether
// it is worth another try. What the object store says is quoted, in part: it is not
// trusted with the log.
func classify(err error) (again bool, _ error) {
	answer := minio.ToErrorResponse(err)
	if answer.StatusCode == 0 { // there was none
		if hopeless(err) {
			return false, err
		}
		return true, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	said := fmt.Errorf("%d %.60q: %.200q", answer.StatusCode, answer.Code, answer.Message)
	switch answer.Code {
	case "QuotaExceeded", "XMinioStorageFull":
		return false, fmt.Errorf("%w: %w", store.ErrFull, said)
	case minio.NoSuchBucket:
		return false, ErrNoBucket
	case "RequestTimeout", "IncompleteBody", "BadDigest": // the request did not arrive whole
		return true, fmt.Errorf("%w: %w", ErrUnavailable, said)
	}
	switch status := answer.StatusCode; status {
	case http.StatusNotFound:
		return false, store.ErrMissing
	case http.StatusPreconditionFailed:
		return false, errExists
	case http.StatusUnauthorized, http.StatusForbidden:
		return false, fmt.Errorf("%w: %w", ErrDenied, said)
	case http.StatusInsufficientStorage:
		return false, fmt.Errorf("%w: %w", store.ErrFull, said)
	case http.StatusNotImplemented, http.StatusBadRequest, http.StatusMethodNotAllowed:
		return false, fmt.Errorf("%w: %w", errRefused, said)
	case http.StatusConflict: // with another write of the object, which has not ended
		return true, fmt.Errorf("%w: %w", ErrUnavailable, said)
	default:
		if status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= http.StatusInternalServerError {
			return true, fmt.Errorf("%w: %w", ErrUnavailable, said)
		}
		return false, said
	}
}

// hopeless knows the failures without an answer that stay as they are.
func hopeless(err error) bool {
	var tooLong *tooLongError
	return errors.As(err, &tooLong) ||
		strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") ||
		strings.Contains(err.Error(), "x509: ")
}

// tooLongError: an object or an answer is longer than it may be.
type tooLongError struct{ limit int }

func (e *tooLongError) Error() string {
	return fmt.Sprintf("longer than the limit of %d bytes", e.limit)
}
