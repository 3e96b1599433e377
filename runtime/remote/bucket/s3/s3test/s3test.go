// Package s3test finds the S3 server that tests use.
package s3test

import (
	"fmt"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/mythos-run/mythos/runtime/remote/bucket/s3"
)

// Server returns the S3 server of MYTHOS_TEST_S3, http://KEY:SECRET@HOST:PORT,
// with a new bucket.
func Server(t *testing.T) s3.Config {
	t.Helper()
	where := os.Getenv("MYTHOS_TEST_S3")
	if where == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("MYTHOS_TEST_S3 is not set")
		}
		t.Skip("MYTHOS_TEST_S3 is not set: no S3 server to try")
	}
	u, err := url.Parse(where)
	if err != nil {
		t.Fatal(err)
	}
	secret, _ := u.User.Password()
	c := s3.Config{
		Endpoint: u.Host, Insecure: u.Scheme == "http", Region: "us-east-1", AccessKey: u.User.Username(), SecretKey: secret,
		Bucket: fmt.Sprintf("mythos-%d", time.Now().UnixNano()),
	}
	client, err := minio.New(c.Endpoint, &minio.Options{Creds: credentials.NewStaticV4(c.AccessKey, c.SecretKey, ""), Secure: !c.Insecure})
	if err == nil {
		err = client.MakeBucket(t.Context(), c.Bucket, minio.MakeBucketOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}
