package node

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mythos-run/mythos/runtime/cas/local"
)

// TestCollectRegistry: a store that the index of a registry lies beside is not
// collected, whether or not the registry has marked it.
func TestCollectRegistry(t *testing.T) {
	for _, name := range []string{"index.db", "oci.db"} {
		n, s, now := aged(t)
		id := mustPut(t, s, []byte("published"))
		*now = now.Add(3 * time.Hour)
		path := filepath.Join(n.Paths.Data, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if done, err := n.Collect(t.Context(), false, nil); !errors.Is(err, local.ErrServed) || done != (local.Collected{}) {
			t.Errorf("beside %s: %+v, %v; want %s", name, done, err, local.ErrServed)
		}
		wantThere(t, s, "beside "+name, id.CID)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if done, err := n.Collect(t.Context(), true, nil); err != nil {
			t.Errorf("without: %+v, %v", done, err)
		}
	}
}
