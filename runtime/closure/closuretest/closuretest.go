// Package closuretest makes a package for the tests of those who move closures.
package closuretest

import (
	"bytes"
	"slices"
	"testing"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/remote/bucket/buckettest"
)

// Put stores a package and returns its manifest's CID: a small artifact, one of
// two chunks, and a tree with a small file, a file of two chunks and the first
// artifact again; 10 objects, of about 9 MiB.
func Put(t *testing.T, s cas.Store) cid.Hash {
	t.Helper()
	put := func(b []byte) blob.ArtifactID {
		id, err := cas.PutBlob(t.Context(), s, bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	artifact := func(id blob.ArtifactID, kind uint8) manifest.Artifact {
		return manifest.Artifact{Kind: kind, CID: id.CID, Size: id.Size, SHA256: id.SHA256, MediaType: "application/x-test"}
	}
	small := put([]byte("small"))
	file := func(path string, id blob.ArtifactID) manifest.TreeEntry {
		return manifest.TreeEntry{Path: path, CID: id.CID, Size: id.Size, SHA256: id.SHA256}
	}
	tree := &manifest.Tree{Entries: []manifest.TreeEntry{
		file("a", put([]byte("file a"))), file("large", put(buckettest.Random(1, 4<<20+1))), file("same", small),
	}}
	list := []manifest.Artifact{
		artifact(small, manifest.KindIR),
		artifact(put(buckettest.Random(2, 5<<20)), manifest.KindDoc),
		artifact(put(tree.AppendCAN(nil)), manifest.KindTree),
	}
	slices.SortFunc(list, func(a, b manifest.Artifact) int { return a.CID.Compare(b.CID) })
	raw, err := manifest.Sign(&manifest.Manifest{
		Name: "demo", Version: "1.0.0", Requires: manifest.Requires{ExecutorMinVersion: "0.1.0"}, Artifacts: list,
		Entrypoints: []manifest.Entrypoint{{Name: "main", Bundle: small.CID}},
	}, sig.NewKey([32]byte{1}, ""))
	if err != nil {
		t.Fatal(err)
	}
	return put(raw).CID
}
