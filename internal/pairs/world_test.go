package pairs

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/mythos-run/mythos/internal/config"
	"github.com/mythos-run/mythos/runtime/gate"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/codebook"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/node"
	"github.com/mythos-run/mythos/runtime/pack"
)

// The package that is moved about: demo-001 with a document of two chunks.
const (
	name    = "demo-001"
	version = "0.1.0"
)

func publisher() sig.Key { return sig.NewKey([32]byte{7}, "TEST ONLY") }

// world is the package, where it was packed, and a user who trusts its publisher.
type world struct {
	folder  string
	archive []byte
	id      cid.Hash
	user    config.Paths
	result  []byte // of the packed folder's run
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	built, err := pack.Build(t.Context(), pack.BuildOptions{
		Dir: demo(t, filepath.Join(dir, "source")), Out: filepath.Join(dir, "out"), Signer: publisher(),
		Host: manifest.Host{Version: "0.2.0", Codebooks: []cid.Hash{codebook.BaselineID()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{folder: built.Folder, id: built.ManifestCID, user: paths(t)}
	if w.archive, err = os.ReadFile(built.Archive); err != nil {
		t.Fatal(err)
	}
	n := w.node(t)
	old, err := n.Trust()
	if err != nil {
		t.Fatal(err)
	}
	trust, err := old.With(gate.TrustEntry{Role: sig.Publisher, Keys: []sig.AgentID{publisher().Agent()}})
	if err != nil {
		t.Fatal(err)
	}
	if err := trust.Save(n.TrustPath()); err != nil {
		t.Fatal(err)
	}
	w.result = w.outcome(t, n, built.Folder)
	if len(w.result) == 0 {
		t.Fatal("the package gives no result")
	}
	return w
}

// paths are those of a new user, but for the data.
func paths(t *testing.T) config.Paths {
	dir := t.TempDir()
	return config.Paths{Config: filepath.Join(dir, "config"), Cache: filepath.Join(dir, "cache")}
}

// demo copies what demo-001 is built from, and adds a document of two chunks.
func demo(t *testing.T, project string) string {
	t.Helper()
	for _, part := range []string{"sdk/go", "tools/echo/go", "packages/demo-001/ir"} {
		if err := os.CopyFS(filepath.Join(project, part), os.DirFS(filepath.Join("../..", part))); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var source map[string]any
	if err := json.Unmarshal(read("packages/demo-001/manifest.src.json"), &source); err != nil {
		t.Fatal(err)
	}
	source["docs"] = []string{"large.bin"}
	text, err := json.Marshal(source)
	if err != nil {
		t.Fatal(err)
	}
	large := make([]byte, 4<<20+1)
	if _, err := rand.NewChaCha8([32]byte{1}).Read(large); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(project, "packages/demo-001")
	for path, b := range map[string][]byte{
		filepath.Join(project, "go.mod"): read("go.mod"), filepath.Join(project, "go.sum"): read("go.sum"),
		filepath.Join(dir, "manifest.src.json"): text, filepath.Join(dir, "large.bin"): large,
	} {
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "modules"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// node returns the user's node with an empty store and ledger.
func (w *world) node(t *testing.T) *node.Node {
	t.Helper()
	paths := w.user
	paths.Data = t.TempDir()
	n := node.New(node.Options{Paths: paths, Clock: time.Now, Version: "0.2.0"})
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// open opens the packed folder.
func (w *world) open(t *testing.T) pack.Source {
	t.Helper()
	return w.source(t, &file{path: w.folder})
}

// outcome runs a package and returns what it answered.
func (w *world) outcome(t *testing.T, n *node.Node, ref string) []byte {
	t.Helper()
	r, err := n.Run(t.Context(), node.RunOptions{Package: ref, RunID: "r"})
	if err != nil {
		t.Fatalf("run %s: %v", ref, err)
	}
	if r.ManifestCID != w.id {
		t.Fatalf("manifest %s ran, want %s", r.ManifestCID, w.id)
	}
	return r.Result.Outcome.Value
}

// run runs what stands in a place on a node that has nothing.
func (w *world) run(t *testing.T, m medium) {
	t.Helper()
	n := w.node(t)
	store, err := n.Objects()
	if err != nil {
		t.Fatal(err)
	}
	ref, err := m.runnable(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	if got := w.outcome(t, n, ref); !bytes.Equal(got, w.result) {
		t.Errorf("the result is %x, want %x", got, w.result)
	}
}

// filesBelow reads a file, as ".", or all files below a folder.
func filesBelow(t *testing.T, root string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err == nil {
			out[rel], err = os.ReadFile(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// moduleOf returns the CID and the bytes of a package's module.
func moduleOf(t *testing.T, src pack.Source) (id cid.Hash, bytes []byte) {
	t.Helper()
	raw, err := src.Manifest(context.Background(), manifest.MaxBytes)
	if err != nil {
		t.Fatal(err)
	}
	u, err := manifest.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	list := u.Claims().Artifacts
	i := slices.IndexFunc(list, func(a manifest.Artifact) bool { return a.Kind == manifest.KindModule })
	if i < 0 {
		t.Fatal("no module")
	}
	rc, err := src.Open(context.Background(), list[i].ID())
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	bytes, err = io.ReadAll(rc)
	if err != nil {
		t.Fatal(err)
	}
	return list[i].CID, bytes
}
