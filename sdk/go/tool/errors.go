package tool

import "errors"

// Errors of the powers beyond the request.
var (
	// ErrDenied: the call has no grant for this.
	ErrDenied = errors.New("denied: the call has no grant for this")
	// ErrNotFound: there is no such blob.
	ErrNotFound = errors.New("not found")
)
