// Package pairs moves one package between all its forms and places, with real servers
// and real tools of others (RFC-MYTHOS-0006 §7, RFC-MYTHOS-0011): folder, archive,
// store, S3, Azure Blob, registry, OCI registries and OCI image layout. It holds only
// tests; scripts/peers.sh runs a command with the servers.
package pairs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/mythos-run/mythos/registry"
	"github.com/mythos-run/mythos/registry/index/sqlite"
	"github.com/mythos-run/mythos/registry/ociapi"
	catalog "github.com/mythos-run/mythos/registry/ociapi/catalog/sqlite"
	"github.com/mythos-run/mythos/registry/ociapi/staging"
	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/cas/local"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/sig"
	"github.com/mythos-run/mythos/runtime/oci"
	"github.com/mythos-run/mythos/runtime/pack"
	"github.com/mythos-run/mythos/runtime/remote"
	"github.com/mythos-run/mythos/runtime/remote/bucket/azure"
	"github.com/mythos-run/mythos/runtime/remote/bucket/azure/azuretest"
	"github.com/mythos-run/mythos/runtime/remote/bucket/folder"
	"github.com/mythos-run/mythos/runtime/remote/bucket/s3"
	"github.com/mythos-run/mythos/runtime/remote/bucket/s3/s3test"
	client "github.com/mythos-run/mythos/runtime/remote/registry"
	"github.com/mythos-run/mythos/runtime/transfer"
)

// form is one form of a package, or one kind of place.
type form struct {
	name string
	open func(t *testing.T) medium
}

// medium is an empty place for one package.
type medium interface {
	// write makes the package stand in the place.
	write(ctx context.Context, src pack.Source) error
	// read opens the package that stands there, found by the place's own means.
	read(ctx context.Context) (pack.Source, error)
	// runnable returns what a node with that store, which does not hold the package,
	// is told to run.
	runnable(ctx context.Context, store cas.Store) (ref string, err error)
}

func forms() []form {
	return []form{
		{"folder", func(t *testing.T) medium { return &file{dir: t.TempDir(), as: folderIn} }},
		{"archive", func(t *testing.T) medium { return &file{dir: t.TempDir(), as: archiveIn} }},
		{"layout", func(t *testing.T) medium { return &file{dir: t.TempDir(), as: layoutIn} }},
		{"store", openStore},
		{"disk", func(t *testing.T) medium { return &indexed{r: remote.Over(folder.Open(t.TempDir()))} }},
		{"s3", openS3},
		{"azure", openAzure},
		{"registry", openRegistry},
		{"distribution", func(t *testing.T) medium { return &tagged{r: repository(t, distribution(t))} }},
		{"oci", func(t *testing.T) medium { return &tagged{r: repository(t, serveOCI(t))} }},
	}
}

// distribution returns where the registry of the distribution project is.
func distribution(t *testing.T) string { return peer(t, "MYTHOS_TEST_OCI") }

// serveOCI serves our registry with the OCI distribution API, and returns where.
func serveOCI(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	known, err := catalog.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	area, err := staging.InFolder(filepath.Join(dir, "uploads"))
	if err != nil {
		t.Fatal(err)
	}
	objects := remote.Over(folder.Open(dir))
	api := ociapi.New(ociapi.Options{
		Objects: objects, Catalog: known, Staging: area, Clock: time.Now,
		Failed: func(r *http.Request, err error) { t.Errorf("%s %s: %v", r.Method, r.URL, err) },
	})
	// Before serve's own, so that nothing is closed while it is used.
	t.Cleanup(func() {
		if err := known.Close(); err != nil {
			t.Error(err)
		}
	})
	return serve(t, registry.Options{Objects: objects, OCI: api}, nil).Host
}

// peer returns where a server is, or skips.
func peer(t *testing.T, name string) string {
	t.Helper()
	where := os.Getenv(name)
	if where == "" {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not set", name)
		}
		t.Skipf("%s is not set: run scripts/peers.sh go test", name)
	}
	return where
}

// file is a form that is a path.
type file struct {
	dir, path string
	as        func(ctx context.Context, src pack.Source, dir string) (string, error)
}

func folderIn(ctx context.Context, src pack.Source, dir string) (string, error) {
	path, _, err := pack.WriteFolder(ctx, src, dir)
	return path, err
}

func archiveIn(ctx context.Context, src pack.Source, dir string) (string, error) {
	path, _, _, err := pack.WriteArchive(ctx, src, dir)
	return path, err
}

func layoutIn(ctx context.Context, src pack.Source, dir string) (string, error) {
	path := filepath.Join(dir, "layout")
	_, err := pack.WriteArtifact(ctx, src, oci.OpenLayout(path), version)
	return path, err
}

func (f *file) write(ctx context.Context, src pack.Source) (err error) {
	f.path, err = f.as(ctx, src, f.dir)
	return err
}

func (f *file) read(ctx context.Context) (pack.Source, error) {
	return pack.Open(ctx, f.path, pack.OpenOptions{})
}

func (f *file) runnable(context.Context, cas.Store) (string, error) { return f.path, nil }

// stored is a package in an object store.
type stored struct {
	store cas.Store
	id    cid.Hash
}

func openStore(t *testing.T) medium {
	s, err := local.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &stored{store: s}
}

func (s *stored) write(ctx context.Context, src pack.Source) error {
	b, err := cas.Begin(ctx, s.store)
	if err != nil {
		return err
	}
	if s.id, err = pack.Copy(ctx, b, src); err == nil {
		err = b.Commit(ctx)
	}
	return errors.Join(err, b.Close())
}

func (s *stored) read(context.Context) (pack.Source, error) {
	return pack.FromStore(s.store, s.id), nil
}

func (s *stored) runnable(ctx context.Context, store cas.Store) (string, error) {
	_, err := pack.Copy(ctx, store, pack.FromStore(s.store, s.id))
	return s.id.String(), err
}

// indexed is a remote that finds packages by name and version.
type indexed struct {
	r interface {
		remote.Remote
		remote.Index
	}
}

func openS3(t *testing.T) medium {
	b, err := s3.Open(s3test.Server(t))
	if err != nil {
		t.Fatal(err)
	}
	return &indexed{remote.Over(b)}
}

func openAzure(t *testing.T) medium {
	b, err := azure.Open(azuretest.Server(t))
	if err != nil {
		t.Fatal(err)
	}
	return &indexed{remote.Over(b)}
}

// openRegistry serves a registry of our own.
func openRegistry(t *testing.T) medium {
	return &indexed{client.Open(client.Config{URL: serve(t, registry.Options{Objects: remote.Over(folder.Open(t.TempDir()))}, nil)})}
}

// serve serves a registry that anybody may write to; wrap may stand before it.
func serve(t *testing.T, o registry.Options, wrap func(http.Handler) http.Handler) *url.URL {
	t.Helper()
	x, err := sqlite.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	o.Index, o.Clock, o.Access = x, time.Now, &registry.Access{Open: true}
	o.Failed = func(r *http.Request, err error) { t.Logf("%s %s: %v", r.Method, r.URL, err) }
	h := registry.New(o).Handler()
	if wrap != nil {
		h = wrap(h)
	}
	server := httptest.NewServer(h)
	t.Cleanup(func() {
		server.Close()
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func (x *indexed) write(ctx context.Context, src pack.Source) error {
	id, err := pack.Copy(ctx, pack.ToRemote(x.r), src)
	if err != nil {
		return err
	}
	return x.r.Publish(ctx, id, []sig.AgentID{publisher().Agent()})
}

func (x *indexed) read(ctx context.Context) (pack.Source, error) {
	id, err := x.r.Resolve(ctx, name, "")
	return pack.FromObjects(pack.FromRemote(x.r), id), err
}

func (x *indexed) runnable(ctx context.Context, store cas.Store) (string, error) {
	id, err := x.r.Resolve(ctx, name, version)
	if err != nil {
		return "", err
	}
	return id.String(), pull(ctx, x.r, store, id)
}

func pull(ctx context.Context, from remote.Remote, to cas.Store, id cid.Hash) error {
	_, err := transfer.Pull(ctx, []transfer.Named{{Name: "place", Remote: from}}, to, id, transfer.Options{})
	return err
}

// tagged is a repository of an OCI registry.
type tagged struct{ r *oci.Registry }

// repository returns a new repository of an OCI registry without TLS at HOST:PORT.
func repository(t *testing.T, host string) *oci.Registry {
	t.Helper()
	return inRepository(t, newRepository(host))
}

func newRepository(host string) string {
	return fmt.Sprintf("%s/pairs/r%d", host, time.Now().UnixNano())
}

func inRepository(t *testing.T, name string) *oci.Registry {
	t.Helper()
	r, err := oci.OpenRegistry(oci.Config{Repository: name, PlainHTTP: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (x *tagged) write(ctx context.Context, src pack.Source) error {
	_, err := pack.WriteArtifact(ctx, src, x.r, version)
	return err
}

func (x *tagged) read(ctx context.Context) (pack.Source, error) {
	id, _, err := x.r.Resolve(ctx, version)
	return pack.FromObjects(pack.FromRemote(x.r), id), err
}

func (x *tagged) runnable(ctx context.Context, store cas.Store) (string, error) {
	id, _, err := x.r.Resolve(ctx, version)
	if err != nil {
		return "", err
	}
	return id.String(), pull(ctx, x.r, store, id)
}

// TestAllPairs takes a package from each form to each and back, and runs what arrived.
func TestAllPairs(t *testing.T) {
	w := newWorld(t)
	for _, from := range forms() {
		t.Run(from.name, func(t *testing.T) {
			t.Parallel()
			first := from.open(t)
			w.convert(t, w.open(t), first)
			for _, to := range forms() {
				t.Run(to.name, func(t *testing.T) {
					there, back := to.open(t), from.open(t)
					w.convert(t, w.source(t, first), there)
					w.convert(t, w.source(t, there), back)
					w.run(t, there)
				})
			}
		})
	}
}

// convert writes a package to a place and checks that it is the same one there.
func (w *world) convert(t *testing.T, src pack.Source, to medium) {
	t.Helper()
	if err := to.write(t.Context(), src); err != nil {
		t.Fatal(err)
	}
	c, err := pack.List(t.Context(), w.source(t, to))
	if err != nil {
		t.Fatal(err)
	}
	if c.ManifestCID != w.id {
		t.Fatalf("the manifest is %s, want %s", c.ManifestCID, w.id)
	}
}

// source opens what stands in a place until the test ends.
func (w *world) source(t *testing.T, m medium) pack.Source {
	t.Helper()
	src, err := m.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	})
	return src
}

// TestFormsAreBytes compares what is written twice, byte for byte, through other
// forms.
func TestFormsAreBytes(t *testing.T) {
	w := newWorld(t)
	for name, as := range map[string]func(context.Context, pack.Source, string) (string, error){
		"folder": folderIn, "archive": archiveIn, "layout": layoutIn,
	} {
		t.Run(name, func(t *testing.T) {
			direct, around := &file{dir: t.TempDir(), as: as}, &file{dir: t.TempDir(), as: as}
			w.convert(t, w.open(t), direct)
			s := openStore(t)
			w.convert(t, w.open(t), s)
			w.convert(t, w.source(t, s), around)
			one, two := filesBelow(t, direct.path), filesBelow(t, around.path)
			if !maps.EqualFunc(one, two, slices.Equal) {
				t.Errorf("files %v and %v differ", slices.Sorted(maps.Keys(one)), slices.Sorted(maps.Keys(two)))
			}
			if name == "archive" && !slices.Equal(one["."], w.archive) {
				t.Error("the archive is not the one that pack writes")
			}
		})
	}
}
