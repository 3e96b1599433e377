// Package closure lists the objects that a package consists of, its closure
// (RFC-MYTHOS-0011 §1): manifest, artifacts, the files of trees, and the nodes and
// chunks of what is larger than one object. Everything that says what else there
// is, it reads and verifies; the rest it only names. So a closure is listed before
// it is there, which is how one is fetched.
package closure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
)

// Object is one object of a closure.
type Object struct {
	CID  cid.Hash
	Size int64 // bytes
	// Raw is the object itself if Walk had to read it to know what it names: a
	// manifest, a tree or a node. The visitor must not change it.
	Raw []byte
	// Artifact is the artifact whose bytes these are, or a part of, and File the path
	// in a tree of the file whose they are; nil and "" if there is none, as for nodes.
	Artifact *manifest.Artifact
	File     string
}

// Source returns the object that hashes to id, of at most limit bytes. What it
// returns is verified by Walk.
type Source func(ctx context.Context, id cid.Hash, limit int64) ([]byte, error)

// Walk calls visit for every object of the closure of a manifest, once for each,
// after all that the object names, the manifest last. It holds the CIDs that it
// has seen, one tree, and the nodes above the object that is visited.
func Walk(ctx context.Context, get Source, id cid.Hash, visit func(Object) error) error {
	w := &walker{ctx: ctx, get: get, visit: visit, seen: map[cid.Hash]bool{}}
	raw, err := w.read(id, manifest.MaxBytes)
	if err != nil {
		return about(err, "manifest "+id.String())
	}
	u, err := manifest.Decode(raw)
	if err == nil {
		err = u.Validate()
	}
	if err != nil {
		return err
	}
	list := u.Claims().Artifacts
	for i := range list {
		a := &list[i]
		var raw []byte
		if a.Kind == manifest.KindTree {
			if raw, err = w.tree(a); err != nil {
				return about(err, "tree "+a.CID.String())
			}
		}
		if err := w.artifact(a.ID(), Object{Artifact: a, Raw: raw}); err != nil {
			return about(err, "artifact "+a.CID.String())
		}
	}
	return w.see(Object{CID: id, Size: int64(len(raw)), Raw: raw})
}

type walker struct {
	ctx   context.Context
	get   Source
	visit func(Object) error
	seen  map[cid.Hash]bool
}

// about says which part of a package an error is about, unless it names an object.
func about(err error, part string) error {
	var e *fault.Error
	if errors.As(err, &e) && e.Subject != "" {
		return fmt.Errorf("%s: %w", part, err)
	}
	if errors.As(err, &e) {
		return e.About(part)
	}
	return err
}

func (w *walker) see(o Object) error {
	if w.seen[o.CID] {
		return nil
	}
	w.seen[o.CID] = true
	return w.visit(o)
}

// read returns the object that hashes to id.
func (w *walker) read(id cid.Hash, limit int64) ([]byte, error) {
	if err := w.ctx.Err(); err != nil {
		return nil, context.Cause(w.ctx)
	}
	raw, err := w.get(w.ctx, id, limit)
	if err == nil && (int64(len(raw)) > limit || cid.Sum(raw) != id) {
		err = fault.New(manifest.ErrArtifactHash, "the %d bytes that came are another object", len(raw)).About(id.String())
	}
	return raw, err
}

// artifact visits the objects of one artifact: itself, of which as is known, or the
// chunks and nodes of a blob.
func (w *walker) artifact(a blob.ArtifactID, as Object) error {
	if a.Flat() {
		as.CID, as.Size = a.CID, int64(a.Size)
		return w.see(as)
	}
	if w.seen[a.CID] {
		return nil
	}
	var nodes []Object
	for v := blob.NewVerifier(a.CID); ; {
		want, more := v.Want()
		if !more {
			break
		}
		if !want.Node {
			if err := w.see(Object{CID: want.ID, Size: want.Limit, Artifact: as.Artifact, File: as.File}); err != nil {
				return err
			}
			if err := v.Skip(); err != nil {
				return err
			}
			continue
		}
		raw, err := w.read(want.ID, want.Limit)
		if err == nil {
			err = v.Give(raw)
		}
		if err != nil {
			return err
		}
		if v.Size() != a.Size || v.ChunkSize() != blob.FlatLimit {
			return fault.New(manifest.ErrArtifactHash, "%d bytes in chunks of %d under the root, want %d in chunks of %d", v.Size(), v.ChunkSize(), a.Size, blob.FlatLimit)
		}
		nodes = append(nodes, Object{CID: want.ID, Size: int64(len(raw)), Raw: raw})
	}
	for _, n := range slices.Backward(nodes) {
		if err := w.see(n); err != nil {
			return err
		}
	}
	return nil
}

// tree visits the files of a tree and returns its bytes.
func (w *walker) tree(a *manifest.Artifact) ([]byte, error) {
	if a.Size > manifest.MaxTreeEncoded {
		return nil, fault.New(manifest.ErrTree, "the tree has %d bytes, at most %d", a.Size, manifest.MaxTreeEncoded)
	}
	in, err := a.ID().Open(func(id cid.Hash, limit int64) ([]byte, error) { return w.read(id, limit) })
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(in)
	if err != nil {
		return nil, err
	}
	t, err := manifest.DecodeTree(raw)
	if err != nil {
		return nil, err
	}
	for i := range t.Entries {
		e := &t.Entries[i]
		if err := w.artifact(e.ID(), Object{File: e.Path}); err != nil {
			return nil, about(err, "file "+e.Path)
		}
	}
	return raw, nil
}
