package cli

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"github.com/mythos-run/mythos/registry/index"
	"github.com/mythos-run/mythos/registry/index/postgres"
	"github.com/mythos-run/mythos/registry/index/sqlite"
	"github.com/mythos-run/mythos/registry/ociapi/catalog"
	ocipostgres "github.com/mythos-run/mythos/registry/ociapi/catalog/postgres"
	ocisqlite "github.com/mythos-run/mythos/registry/ociapi/catalog/sqlite"
	"github.com/mythos-run/mythos/registry/ociapi/staging"
	"github.com/mythos-run/mythos/runtime/cas/local"
	"github.com/mythos-run/mythos/runtime/node"
	"github.com/mythos-run/mythos/runtime/remote"
)

// place is where a registry keeps what it has.
type place struct {
	objects remote.Remote
	index   index.Index
	catalog catalog.Catalog // of what came by the OCI API
	staging staging.Area    // of uploads there
}

// Close closes all of it.
func (p *place) Close() error {
	var err error
	if p.catalog != nil {
		err = p.catalog.Close()
	}
	return errors.Join(err, p.index.Close(), p.objects.Close())
}

// openPlace opens storage and index, and makes what is not there.
func (o *serveOptions) openPlace(ctx context.Context, n *node.Node) (*place, error) {
	objects, err := o.openStorage(ctx, n)
	if err != nil {
		return nil, err
	}
	x, err := o.openIndex(ctx)
	if err != nil {
		return nil, errors.Join(err, objects.Close())
	}
	p := &place{objects: objects, index: x}
	p.catalog, err = o.openCatalog(ctx, x)
	if err == nil {
		p.staging, err = o.openStaging(objects)
	}
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// openCatalog opens the catalog beside the index.
func (o *serveOptions) openCatalog(ctx context.Context, x index.Index) (catalog.Catalog, error) {
	if shared, ok := x.(*postgres.Index); ok {
		return ocipostgres.Open(ctx, shared)
	}
	return ocisqlite.Open(ctx, o.dir)
}

// openStaging opens a place for uploads where all replicas find it: beside the
// objects.
func (o *serveOptions) openStaging(objects remote.Remote) (staging.Area, error) {
	if shared, ok := objects.(*remote.InBucket); ok {
		return staging.InBucket(shared.Bucket()), nil
	}
	return staging.InFolder(filepath.Join(o.dir, "uploads"))
}

func (o *serveOptions) openStorage(ctx context.Context, n *node.Node) (remote.Remote, error) {
	if o.storage == "" {
		s, err := local.Open(filepath.Join(o.dir, "store"))
		if err == nil {
			err = s.MarkServed(ctx)
		}
		if err != nil {
			return nil, err
		}
		return remote.OverStore(s), nil
	}
	for _, kind := range []string{"http://", "https://", "oci://"} {
		if strings.HasPrefix(o.storage, kind) {
			return nil, usagef("--storage: a registry keeps objects in a folder, s3:// or azblob://, not in another registry")
		}
	}
	r, err := n.OpenRemote(ctx, o.storage, node.RemoteOptions{Insecure: o.insecure, Getenv: o.Getenv})
	if err != nil {
		return nil, err
	}
	return r.Remote, nil
}

func (o *serveOptions) openIndex(ctx context.Context) (index.Index, error) {
	if o.index == "" {
		return sqlite.Open(ctx, o.dir)
	}
	to := postgres.Options{URL: o.index, Schema: o.schema}
	if o.passwordFile != "" {
		to.Password = postgres.PasswordFile(o.passwordFile)
	}
	return postgres.Open(ctx, to)
}
