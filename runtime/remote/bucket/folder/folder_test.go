package folder_test

import (
	"path/filepath"
	"testing"

	"github.com/mythos-run/mythos/runtime/remote/bucket"
	"github.com/mythos-run/mythos/runtime/remote/bucket/buckettest"
	"github.com/mythos-run/mythos/runtime/remote/bucket/folder"
)

func TestBucket(t *testing.T) {
	buckettest.Run(t, func(t *testing.T) bucket.Bucket {
		return folder.Open(filepath.Join(t.TempDir(), "not", "there", "yet"))
	})
}
