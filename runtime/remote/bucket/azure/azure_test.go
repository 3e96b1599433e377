package azure_test

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/mythos-run/mythos/runtime/remote/bucket"
	"github.com/mythos-run/mythos/runtime/remote/bucket/azure"
	"github.com/mythos-run/mythos/runtime/remote/bucket/buckettest"
)

// server returns the Azure Blob service of MYTHOS_TEST_AZURE,
// http://ACCOUNT:KEY@HOST:PORT/ACCOUNT, with a new container.
func server(t *testing.T) azure.Config {
	t.Helper()
	where := os.Getenv("MYTHOS_TEST_AZURE")
	if where == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("MYTHOS_TEST_AZURE is not set")
		}
		t.Skip("MYTHOS_TEST_AZURE is not set: no Azure Blob service to try")
	}
	u, err := url.Parse(where)
	if err != nil {
		t.Fatal(err)
	}
	key, _ := u.User.Password()
	c := azure.Config{Account: u.User.Username(), Key: key, Container: fmt.Sprintf("mythos-%d", time.Now().UnixNano())}
	u.User = nil
	c.Service = u.String()
	cred, err := container.NewSharedKeyCredential(c.Account, c.Key)
	if err != nil {
		t.Fatal(err)
	}
	client, err := container.NewClientWithSharedKeyCredential(c.Service+"/"+c.Container, cred, nil)
	if err == nil {
		_, err = client.Create(t.Context(), nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestBucket(t *testing.T) {
	for _, prefix := range []string{"", "some/prefix"} {
		t.Run("prefix="+strings.ReplaceAll(prefix, "/", "."), func(t *testing.T) {
			buckettest.Run(t, func(t *testing.T) bucket.Bucket {
				c := server(t)
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
