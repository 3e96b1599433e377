// Package cas is the port to content-addressed storage: objects are named by
// the SHA-256 of their bytes, so a store is never trusted, only checked. It
// holds the Store interface, the codes every store raises, the checking reader
// and writer that stores share, and chunked blobs over any store. Stores live
// in their own packages (local on disk, memory for tests) and run the
// acceptance suite in castest.
package cas

import (
	"context"
	"io"
	"iter"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Codes of every store.
const (
	ErrNotFound    fault.Code = "object_not_found"  // the store does not hold the object; never used when the store failed
	ErrCorrupt     fault.Code = "object_corrupt"    // what is stored under a hash does not have that hash
	ErrMismatch    fault.Code = "object_mismatch"   // bytes offered under a hash or size do not have it
	ErrTooLarge    fault.Code = "object_too_large"  // the object exceeds the caller's bound
	ErrFull        fault.Code = "store_full"        // no space, quota or file size left
	ErrUnavailable fault.Code = "store_unavailable" // permission, I/O error, closed store
)

// Store holds objects by their hash. It is safe for concurrent use. Errors
// carry a code of this package, or are ctx's error, or come from the caller's
// own reader.
//
// A damaged object is reported with ErrCorrupt by whoever meets it. It is
// never returned, never replaced and never deleted: storing good bytes under
// its hash fails with ErrCorrupt too.
type Store interface {
	Putter

	// Get returns exactly the bytes that hash to h, verified before they are
	// returned. An object of more than max bytes is ErrTooLarge and is not read.
	Get(ctx context.Context, h cid.Hash, max int64) ([]byte, error)

	// Open streams the object and returns its size in bytes. The bytes are
	// verified as they pass: the last ones are withheld until the whole is known
	// to hash to h, so a reader that has received size bytes has received the
	// object, and wrong bytes are ErrCorrupt, never io.EOF. The caller closes.
	Open(ctx context.Context, h cid.Hash) (io.ReadCloser, int64, error)

	// Has reports whether the object is there, without reading it.
	Has(ctx context.Context, h cid.Hash) (bool, error)

	// List yields the hash of every object, ascending. It ends at the first
	// error. Objects that come or go meanwhile may or may not be seen.
	List(ctx context.Context) iter.Seq2[cid.Hash, error]
}

// Putter stores objects: a Store, each of which is durable when its call
// returns, or a Batch, durable when it is committed.
type Putter interface {
	// Put stores b and returns its hash. Storing what is there already succeeds.
	Put(ctx context.Context, b []byte) (cid.Hash, error)

	// PutFrom stores the size bytes that r yields, which must hash to want and
	// be all that r yields; otherwise ErrMismatch, and nothing is kept. It reads
	// at most size+1 bytes.
	PutFrom(ctx context.Context, r io.Reader, want cid.Hash, size int64) error
}

// Batch collects objects and makes them durable together, which costs far
// fewer waits on the disk. An object may become visible in the store at any
// time up to the return of Commit, always whole; a batch is not a transaction,
// and after an error some of its objects may be stored.
type Batch interface {
	Putter

	// Commit returns nil when every object of the batch is durable. The batch
	// is over, whatever it returns.
	Commit(ctx context.Context) error

	// Close ends the batch, dropping what was not committed. It is safe after
	// Commit; callers defer it.
	Close() error
}

// Batcher is a Store with batches of its own.
type Batcher interface {
	Batch(ctx context.Context) (Batch, error)
}

// Begin starts a batch on s: its own kind if it is a Batcher, otherwise one
// that stores each object at once.
func Begin(ctx context.Context, s Store) (Batch, error) {
	if b, ok := s.(Batcher); ok {
		return b.Batch(ctx)
	}
	return single{s}, nil
}

// single is the Batch of a store that has none.
type single struct{ Putter }

func (single) Commit(ctx context.Context) error { return ctx.Err() }
func (single) Close() error                     { return nil }
