// Package azuretest finds the Azure Blob service that tests use.
package azuretest

import (
	"fmt"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/mythos-run/mythos/runtime/remote/bucket/azure"
)

// Server returns the Azure Blob service of MYTHOS_TEST_AZURE,
// http://ACCOUNT:KEY@HOST:PORT/ACCOUNT, with a new container.
func Server(t *testing.T) azure.Config {
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
