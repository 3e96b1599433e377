// Package bucket is the port to places that keep bytes under keys: a folder, an
// S3 bucket, an Azure Blob container. It knows nothing of packages; package
// remote names objects on top of it. Each kind of place has its own package
// (folder, s3, azure), and all run the acceptance suite in buckettest.
//
// A key is one to eight segments of [a-z0-9_.+-], joined by slashes, of at most
// 512 bytes; no segment begins with a dot, and no key of a bucket goes on below
// another one, as a file would below a file. A value is written once and whole: a
// reader sees all of it or nothing, and nothing ever replaces it.
package bucket

import (
	"context"
	"io"
	"iter"
	"strconv"
	"strings"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
)

// Codes of every bucket. Those of package cas say that a value is not there
// (cas.ErrNotFound) or is not what it was said to be (cas.ErrCorrupt), that the
// place is full (cas.ErrFull) or out of reach (cas.ErrUnavailable).
const (
	ErrExists fault.Code = "remote_exists" // a value stands under the key
	ErrDenied fault.Code = "remote_denied" // the credentials do not allow it, or there are none
	ErrKey    fault.Code = "remote_key"    // a key that is not of the form above
)

// Info is a key and the size of its value in bytes.
type Info struct {
	Key  string
	Size int64
}

// Value is what is to be stored: Size bytes that hash to Sum.
type Value struct {
	Size int64
	Sum  cid.Hash
	Open func() (io.ReadCloser, error) // from the first byte; once for every try
}

// Reader opens the value. Bytes that are not as promised are cas.ErrCorrupt, and the
// last ones are withheld, so that no upload of them can be complete.
func (v Value) Reader() (io.ReadCloser, error) {
	rc, err := v.Open()
	if err != nil {
		return nil, &cas.SourceError{Err: err}
	}
	return cas.Verify(rc, v.Sum, v.Size), nil
}

// Bucket keeps values under keys. It is safe for concurrent use. It tries again
// by itself what may be tried again, with growing pauses and as the server asks
// it to, a bounded number of times or until ctx ends; an error is final.
type Bucket interface {
	// Put stores a value under a key that has none, durably, all or nothing. If
	// the key has one, that one stands, and the error is ErrExists.
	Put(ctx context.Context, key string, v Value) error
	// Get reads n bytes from off on, n below 0: to the end. What would be beyond
	// the end is left out. It returns the size of the whole value too. A bucket
	// that failed never says that there is no value.
	Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, int64, error)
	// Head returns the size of a value, or cas.ErrNotFound.
	Head(ctx context.Context, key string) (int64, error)
	// List yields the keys that begin with prefix, ascending bytewise.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]
	// Delete removes a value; one that is not there is no error.
	Delete(ctx context.Context, key string) error
	Close() error
}

const (
	maxKey      = 512 // bytes
	maxSegments = 8
)

// CheckKey refuses what is no key.
func CheckKey(key string) error {
	segments := strings.Split(key, "/")
	ok := len(key) <= maxKey && len(segments) <= maxSegments
	for _, s := range segments {
		ok = ok && s != "" && s[0] != '.' && !strings.ContainsFunc(s, notInKey)
	}
	if !ok {
		return fault.New(ErrKey, "%.80q is no key", key)
	}
	return nil
}

func notInKey(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("_.+-", r)
}

// Escape makes a segment of any text: what may not stand in one, and "_", become
// "_" and two hex digits for each byte. Different texts have different segments.
func Escape(text string) string {
	const digits = "0123456789abcdef"
	var out strings.Builder
	for i := range len(text) {
		c := text[i]
		if c >= 0x80 || c == '_' || notInKey(rune(c)) || c == '.' && i == 0 {
			out.Write([]byte{'_', digits[c>>4], digits[c&15]})
			continue
		}
		out.WriteByte(c)
	}
	return out.String()
}

// Unescape returns the text of which Escape makes the segment, and whether there
// is one.
func Unescape(segment string) (string, bool) {
	var out strings.Builder
	for i := 0; i < len(segment); i++ {
		if segment[i] != '_' {
			out.WriteByte(segment[i])
			continue
		}
		if i+2 >= len(segment) {
			return "", false
		}
		n, err := strconv.ParseUint(segment[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}
		out.WriteByte(byte(n))
		i += 2
	}
	return out.String(), Escape(out.String()) == segment
}
