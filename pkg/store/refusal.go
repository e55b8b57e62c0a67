package store

import "github.com/pktsvc/pktsvc/pkg/stream"

// refusal is an error of whoever asked. The peer gets the text that the protocol has
// for all errors, but observers see that the request was declined, and not that the
// store has failed.
type refusal struct{ error }

var declined = stream.Reject("exception during handler")

// Unwrap lets the engine find the answer, and others the reason.
func (r refusal) Unwrap() []error { return []error{r.error, declined} }
