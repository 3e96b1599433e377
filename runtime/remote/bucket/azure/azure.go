// Package azure keeps a bucket in a container of Azure Blob storage. Put is safe
// among several writers by the condition If-None-Match. Values of more than 16
// MiB are sent in blocks, one at a time.
package azure

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/remote/bucket"
)

const blockSize = 16 << 20 // bytes

// Config says where the container is and who asks.
type Config struct {
	Service     string // URL of the account, such as https://ACCOUNT.blob.core.windows.net
	Account     string
	Key         string // base64; "": requests are not signed
	Container   string
	Prefix      string // of all keys, without slashes at its ends; "": none
	Transporter policy.Transporter
}

// Bucket is a bucket.Bucket in a container.
type Bucket struct {
	client *container.Client
	prefix string // "" or with a slash at its end
}

var _ bucket.Bucket = (*Bucket)(nil)

// Open checks the configuration. It makes no request.
func Open(c Config) (*Bucket, error) {
	url := strings.TrimSuffix(c.Service, "/") + "/" + c.Container
	opts := &container.ClientOptions{ClientOptions: azcore.ClientOptions{
		Retry:     policy.RetryOptions{MaxRetries: -1}, // bucket.Retry does it, with fresh bytes for each try
		Transport: c.Transporter,
	}}
	client, err := connect(url, c, opts)
	if err != nil {
		return nil, fault.New(cas.ErrUnavailable, "%w", err).About(c.Service)
	}
	b := &Bucket{client: client}
	if c.Prefix != "" {
		b.prefix = c.Prefix + "/"
	}
	return b, nil
}

func connect(url string, c Config, opts *container.ClientOptions) (*container.Client, error) {
	if c.Key == "" {
		return container.NewClientWithNoCredential(url, opts)
	}
	cred, err := container.NewSharedKeyCredential(c.Account, c.Key)
	if err != nil {
		return nil, err
	}
	return container.NewClientWithSharedKeyCredential(url, cred, opts)
}

// Close does nothing: connections belong to the transport.
func (b *Bucket) Close() error { return nil }

func (b *Bucket) blob(key string) *blockblob.Client {
	return b.client.NewBlockBlobClient(b.prefix + key)
}

// ifAbsent is the condition of every write.
func ifAbsent() *blob.AccessConditions {
	return &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfNoneMatch: to.Ptr(azcore.ETagAny)}}
}

// Put implements bucket.Bucket.
func (b *Bucket) Put(ctx context.Context, key string, v bucket.Value) error {
	if err := bucket.CheckKey(key); err != nil {
		return err
	}
	return bucket.RetryPut(ctx, b, key, v, func() error {
		in, err := v.Reader()
		if err != nil {
			return err
		}
		defer in.Close()
		if v.Size > blockSize {
			return failed(key, b.putBlocks(ctx, key, in, v.Size))
		}
		whole := make([]byte, v.Size)
		if _, err := io.ReadFull(in, whole); err != nil {
			return err
		}
		if _, err := in.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			return err // an empty value is checked by its end alone
		}
		_, err = b.blob(key).Upload(ctx, streaming.NopCloser(bytes.NewReader(whole)), &blockblob.UploadOptions{AccessConditions: ifAbsent()})
		return failed(key, err)
	})
}

// putBlocks sends size bytes and holds one block of them. The condition counts when
// the blocks become the value; those that never do the server removes after a week.
// The blocks of all writers of a key lie side by side, so the ids of each begin with
// a random text.
func (b *Bucket) putBlocks(ctx context.Context, key string, in io.Reader, size int64) error {
	client := b.blob(key)
	var ids []string
	upload := rand.Text()
	buf := make([]byte, blockSize)
	for left := size; left > 0; {
		n, err := io.ReadFull(in, buf[:min(left, blockSize)])
		if err != nil {
			return err
		}
		id := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s%08d", upload, len(ids)))
		if _, err := client.StageBlock(ctx, id, streaming.NopCloser(bytes.NewReader(buf[:n])), nil); err != nil {
			return err
		}
		ids, left = append(ids, id), left-int64(n)
	}
	_, err := client.CommitBlockList(ctx, ids, &blockblob.CommitBlockListOptions{AccessConditions: ifAbsent()})
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
	part := blob.HTTPRange{Offset: max(off, 0), Count: max(n, 0)} // a count of 0 is all there is
	err = bucket.Retry(ctx, func() error {
		resp, err := b.blob(key).DownloadStream(ctx, &blob.DownloadStreamOptions{Range: part})
		if err == nil {
			rc, size = resp.Body, bucket.WholeSize(deref(resp.ContentRange), deref(resp.ContentLength))
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
		resp, err := b.blob(key).GetProperties(ctx, nil)
		size = deref(resp.ContentLength)
		return failed(key, err)
	})
	return size, err
}

// List implements bucket.Bucket. It holds one page of a thousand keys.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[bucket.Info, error] {
	return func(yield func(bucket.Info, error) bool) {
		pages := b.client.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Prefix: to.Ptr(b.prefix + prefix), MaxResults: to.Ptr(int32(1000))})
		for pages.More() {
			var page container.ListBlobsFlatResponse
			err := bucket.Retry(ctx, func() (err error) {
				page, err = pages.NextPage(ctx)
				return failed(prefix, err)
			})
			if err != nil {
				yield(bucket.Info{}, err)
				return
			}
			for _, item := range page.Segment.BlobItems {
				key := strings.TrimPrefix(deref(item.Name), b.prefix)
				if bucket.CheckKey(key) == nil && !yield(bucket.Info{Key: key, Size: deref(item.Properties.ContentLength)}, nil) {
					return
				}
			}
		}
	}
}

// Delete implements bucket.Bucket.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if err := bucket.CheckKey(key); err != nil {
		return err
	}
	return bucket.Retry(ctx, func() error {
		_, err := b.blob(key).Delete(ctx, nil)
		if err = failed(key, err); errors.Is(err, cas.ErrNotFound) {
			return nil
		}
		return err
	})
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// failed gives an error of the server or the network its code, and says whether
// to try again; others stay.
func failed(key string, err error) error {
	var answer *azcore.ResponseError
	if !errors.As(err, &answer) {
		return bucket.Failed(key, err, 0, "")
	}
	if answer.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		return errRange
	}
	if answer.StatusCode == http.StatusConflict && answer.ErrorCode == "BlobAlreadyExists" {
		return bucket.Failed(key, err, http.StatusPreconditionFailed, "")
	}
	return bucket.Failed(key, err, answer.StatusCode, answer.RawResponse.Header.Get("Retry-After"))
}
