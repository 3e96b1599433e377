package conformance

import (
	"context"
	"encoding/json"
)

// Request asks an implementation about one vector.
type Request struct {
	ID    string          `json:"id"`
	Op    string          `json:"op"`
	Input json.RawMessage `json:"input"`
}

// Answer is what an implementation says. Unsupported wins over OK.
type Answer struct {
	ID          string          `json:"id"`
	OK          bool            `json:"ok"`
	Output      json.RawMessage `json:"output,omitempty"`
	Error       string          `json:"error,omitempty"`
	Offset      *int            `json:"offset,omitempty"`
	Unsupported bool            `json:"unsupported,omitempty"`
}

// Info is an implementation's answer to the hello request.
type Info struct {
	Name    string   `json:"name"`
	Version string   `json:"version"`
	Ops     []string `json:"ops"`
}

// Impl is one implementation of the ops. It is used by one goroutine at a time.
type Impl interface {
	// Hello says who it is.
	Hello(ctx context.Context) (Info, error)
	// Do answers a request. An error means that there is no answer, which fails
	// the vector; a *Broken, that there will be none to any other request either.
	Do(ctx context.Context, r Request) (Answer, error)
	// Close ends it and frees what it holds.
	Close() error
}

// Broken is the error of an implementation that cannot be asked any more.
type Broken struct{ Err error }

func (e *Broken) Error() string { return e.Err.Error() }

// Unwrap returns why.
func (e *Broken) Unwrap() error { return e.Err }

// Start makes an Impl, one for each worker.
type Start func(ctx context.Context) (Impl, error)
