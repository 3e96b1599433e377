package s3_test

import (
	"strings"
	"testing"

	"github.com/mythos-run/mythos/runtime/remote/bucket"
	"github.com/mythos-run/mythos/runtime/remote/bucket/buckettest"
	"github.com/mythos-run/mythos/runtime/remote/bucket/s3"
	"github.com/mythos-run/mythos/runtime/remote/bucket/s3/s3test"
)

func TestBucket(t *testing.T) {
	for _, prefix := range []string{"", "some/prefix"} {
		t.Run("prefix="+strings.ReplaceAll(prefix, "/", "."), func(t *testing.T) {
			buckettest.Run(t, func(t *testing.T) bucket.Bucket {
				c := s3test.Server(t)
				c.Prefix = prefix
				b, err := s3.Open(c)
				if err != nil {
					t.Fatal(err)
				}
				return b
			})
		})
	}
}
