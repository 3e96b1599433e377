// Package s3 keeps a bucket in one of S3, or of a server that speaks its
// protocol and its conditional writes (If-None-Match), which is what makes Put
// safe among several writers. Values of more than 16 MiB are sent in parts, one
// at a time.
package s3

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
)

const partSize = 16 << 20 // bytes

// Config says where the bucket is and who asks.
type Config struct {
	Endpoint string // host, or host:port
	Insecure bool   // http instead of https
	Region   string // "": what the server says
	Bucket   string
	Prefix   string // of all keys, without slashes at its ends; "": none
	// AccessKey and SecretKey are the credentials, SessionToken what goes with
	// temporary ones; all empty: requests are not signed.
	AccessKey, SecretKey, SessionToken string
	Transport                          http.RoundTripper // nil: the default one
}

// Bucket is a bucket.Bucket in S3.
type Bucket struct {
	core   *minio.Core
	name   string
	prefix string // "" or with a slash at its end
}

var _ bucket.Bucket = (*Bucket)(nil)

// Open checks the configuration. It makes no request.
func Open(c Config) (*Bucket, error) {
	if c.Transport == nil {
		standard, err := minio.DefaultTransport(!c.Insecure)
		if err != nil {
			return nil, fault.New(cas.ErrUnavailable, "%w", err).About(c.Endpoint)
		}
		c.Transport = standard
	}
	core, err := minio.NewCore(c.Endpoint, &minio.Options{
		Creds:  credentials.NewStaticV4(c.AccessKey, c.SecretKey, c.SessionToken),
		Secure: !c.Insecure, Region: c.Region, Transport: bucket.RetryAfter(c.Transport),
		MaxRetries: 1, // bucket.Retry does it, with fresh bytes for each try
	})
	if err != nil {
		return nil, fault.New(cas.ErrUnavailable, "%w", err).About(c.Endpoint)
	}
	b := &Bucket{core: core, name: c.Bucket}
	if c.Prefix != "" {
		b.prefix = c.Prefix + "/"
	}
	return b, nil
}

// Close does nothing: connections belong to the transport.
func (b *Bucket) Close() error { return nil }

// Put implements bucket.Bucket.
func (b *Bucket) Put(ctx context.Context, key string, v bucket.Value) error {
	if err := bucket.CheckKey(key); err != nil {
		return err
	}
	return bucket.RetryPut(ctx, b, key, v, func() error { return b.put(ctx, key, v) })
}

func (b *Bucket) put(ctx context.Context, key string, v bucket.Value) error {
	in, err := v.Reader()
	if err != nil {
		return err
	}
	defer in.Close()
	opts := minio.PutObjectOptions{ContentType: "application/octet-stream"}
	opts.SetMatchETagExcept("*")
	if v.Size <= partSize {
		_, err = b.core.PutObject(ctx, b.name, b.prefix+key, in, v.Size, "", v.Sum.Hex(), opts)
	} else {
		err = b.putParts(ctx, key, in, v.Size, opts)
	}
	return failed(key, err)
}

// putParts sends size bytes and holds one part of them. The condition counts when the parts are put together.
func (b *Bucket) putParts(ctx context.Context, key string, in io.Reader, size int64, opts minio.PutObjectOptions) error {
	id, err := b.core.NewMultipartUpload(ctx, b.name, b.prefix+key, minio.PutObjectOptions{ContentType: opts.ContentType})
	if err != nil {
		return err
	}
	err = b.sendParts(ctx, key, id, in, size, opts)
	if err != nil {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = errors.Join(err, b.core.AbortMultipartUpload(late, b.name, b.prefix+key, id))
	}
	return err
}

func (b *Bucket) sendParts(ctx context.Context, key, id string, in io.Reader, size int64, opts minio.PutObjectOptions) error {
	var parts []minio.CompletePart
	buf := make([]byte, partSize)
	for left := size; left > 0; {
		n, err := io.ReadFull(in, buf[:min(left, partSize)])
		if err != nil {
			return err
		}
		part, err := b.core.PutObjectPart(ctx, b.name, b.prefix+key, id, len(parts)+1, bytes.NewReader(buf[:n]), int64(n), minio.PutObjectPartOptions{})
		if err != nil {
			return err
		}
		parts, left = append(parts, minio.CompletePart{PartNumber: part.PartNumber, ETag: part.ETag}), left-int64(n)
	}
	_, err := b.core.CompleteMultipartUpload(ctx, b.name, b.prefix+key, id, parts, opts)
	return err
}

// Get implements bucket.Bucket.
func (b *Bucket) Get(ctx context.Context, key string, off, n int64) (rc io.ReadCloser, size int64, err error) {
	if err := bucket.CheckKey(key); err != nil {
		return nil, 0, err
	}
	if n == 0 {
		return b.nothing(ctx, key)
	}
	var opts minio.GetObjectOptions
	switch off = max(off, 0); {
	case n > 0:
		err = opts.SetRange(off, off+min(n, 1<<62)-1)
	case off > 0:
		err = opts.SetRange(off, 0) // to the end
	}
	if err != nil {
		return nil, 0, fault.New(cas.ErrUnavailable, "%w", err).About(key)
	}
	err = bucket.Retry(ctx, func() error {
		var info minio.ObjectInfo
		var header http.Header
		rc, info, header, err = b.core.GetObject(ctx, b.name, b.prefix+key, opts)
		if err == nil {
			size = bucket.WholeSize(header.Get("Content-Range"), info.Size)
		}
		return failed(key, err)
	})
	if errors.Is(err, errRange) {
		return b.nothing(ctx, key)
	}
	return rc, size, err
}

// errRange says that a range begins at the end of its value or beyond it.
var errRange = errors.New("the range is beyond the end")

// nothing is the answer of Get without bytes.
func (b *Bucket) nothing(ctx context.Context, key string) (io.ReadCloser, int64, error) {
	size, err := b.Head(ctx, key)
	return http.NoBody, size, err
}

// Head implements bucket.Bucket.
func (b *Bucket) Head(ctx context.Context, key string) (size int64, err error) {
	if err := bucket.CheckKey(key); err != nil {
		return 0, err
	}
	err = bucket.Retry(ctx, func() error {
		info, err := b.core.StatObject(ctx, b.name, b.prefix+key, minio.StatObjectOptions{})
		size = info.Size
		return failed(key, err)
	})
	return size, err
}

// List implements bucket.Bucket. It holds one page of a thousand keys.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[bucket.Info, error] {
	return func(yield func(bucket.Info, error) bool) {
		for token, more := "", true; more; {
			var page minio.ListBucketV2Result
			err := bucket.Retry(ctx, func() (err error) {
				if err = ctx.Err(); err == nil { // Core takes no context here
					page, err = b.core.ListObjectsV2(b.name, b.prefix+prefix, "", token, "", 1000)
				}
				return failed(prefix, err)
			})
			if err != nil {
				yield(bucket.Info{}, err)
				return
			}
			for _, o := range page.Contents {
				key := strings.TrimPrefix(o.Key, b.prefix)
				if bucket.CheckKey(key) == nil && !yield(bucket.Info{Key: key, Size: o.Size}, nil) {
					return
				}
			}
			token, more = page.NextContinuationToken, page.IsTruncated
		}
	}
}

// Delete implements bucket.Bucket.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if err := bucket.CheckKey(key); err != nil {
		return err
	}
	return bucket.Retry(ctx, func() error {
		err := failed(key, b.core.RemoveObject(ctx, b.name, b.prefix+key, minio.RemoveObjectOptions{}))
		if errors.Is(err, cas.ErrNotFound) {
			return nil
		}
		return err
	})
}

// failed gives an error of the server or the network its code, and says whether
// to try again; others stay.
func failed(key string, err error) error {
	var answer minio.ErrorResponse
	errors.As(err, &answer)
	switch {
	case answer.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		return errRange
	case answer.Code == minio.NoSuchBucket:
		return fault.New(cas.ErrUnavailable, "%w", err).About("bucket " + answer.BucketName)
	}
	return bucket.Failed(key, err, answer.StatusCode, "")
}
