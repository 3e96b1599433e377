package remote_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket/folder"
	"github.com/mythos-run/mythos/runtime/remote/remotetest"
)

func TestInBucket(t *testing.T) {
	remotetest.Run(t, func(t *testing.T) remote.Remote { return remote.Over(folder.Open(t.TempDir())) })
}

func TestLies(t *testing.T) {
	dir := t.TempDir()
	r := remote.Over(folder.Open(dir))
	id := cid.Sum([]byte("good"))
	write := func(key, text string) {
		t.Helper()
		path := filepath.Join(dir, filepath.FromSlash(key))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{"bad!", "", "longer", string(bytes.Repeat([]byte("x"), 100))} {
		write("objects/"+id.Hex()[:2]+"/"+id.Hex(), text)
		if _, err := remote.Fetch(t.Context(), r, id, 10); err == nil {
			t.Errorf("%q passed for another object", text)
		}
	}
	for _, text := range []string{"", "sha256:", id.String(), id.String() + "\n\n", "sha256:" + id.Hex()[1:] + "x\n"} {
		write("names/demo/1.0.0", text)
		if _, err := r.Resolve(t.Context(), "demo", "1.0.0"); !errors.Is(err, remote.ErrLies) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
