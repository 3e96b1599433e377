package azure_test

import (
	"strings"
	"testing"

	"github.com/mythos-run/mythos/runtime/remote/bucket"
	"github.com/mythos-run/mythos/runtime/remote/bucket/azure"
	"github.com/mythos-run/mythos/runtime/remote/bucket/azure/azuretest"
	"github.com/mythos-run/mythos/runtime/remote/bucket/buckettest"
)

func TestBucket(t *testing.T) {
	for _, prefix := range []string{"", "some/prefix"} {
		t.Run("prefix="+strings.ReplaceAll(prefix, "/", "."), func(t *testing.T) {
			buckettest.Run(t, func(t *testing.T) bucket.Bucket {
				c := azuretest.Server(t)
				c.Prefix = prefix
				b, err := azure.Open(c)
				if err != nil {
					t.Fatal(err)
				}
				return b
			})
		})
	}
}
