package node

import (
	"bytes"
	"context"
	"errors"

	"github.com/mythos-run/mythos/runtime/cas"
	"github.com/mythos-run/mythos/runtime/libs/blob"
	"github.com/mythos-run/mythos/runtime/libs/cid"
	"github.com/mythos-run/mythos/runtime/libs/fault"
	"github.com/mythos-run/mythos/runtime/libs/ledger"
	"github.com/mythos-run/mythos/runtime/libs/manifest"
	"github.com/mythos-run/mythos/runtime/libs/merkle"
)

// maxParent bounds an object that may name others, in bytes: larger content is in
// chunks, whose nodes are small.
const maxParent = 4 << 20

const cidSize = len(cid.Hash{}) // bytes

// child is an object that another one names.
type child struct {
	id   cid.Hash
	leaf bool // it names nothing: bytes of an artifact
}

// children returns what an object names, if it is of a kind that does: a package
// manifest, a tree of files or a node of a Merkle tree. To keep too much is no
// harm, so what an object is may be tried here.
func children(id cid.Hash, b []byte) (list []child, known bool) {
	if m, err := manifest.Decode(b); err == nil {
		for i := range m.Claims().Artifacts {
			a := &m.Claims().Artifacts[i]
			list = append(list, artifact(a.ID(), a.Kind == manifest.KindTree))
		}
		return list, true
	}
	if t, err := manifest.DecodeTree(b); err == nil {
		for i := range t.Entries {
			list = append(list, artifact(t.Entries[i].ID(), false))
		}
		return list, true
	}
	kind, payload, err := merkle.OpenNode(id, b)
	if err != nil {
		return nil, false
	}
	return nodeChildren(kind, payload)
}

func artifact(id blob.ArtifactID, parent bool) child {
	return child{id.CID, id.Flat() && !parent}
}

func nodeChildren(kind uint8, payload []byte) (list []child, known bool) {
	var values merkle.ListLeaf
	var lists merkle.ListInternal
	var chunks blob.ChunkLeaf
	var nodes blob.ChunkInternal
	body := map[uint8]merkle.Body{
		merkle.KindListLeaf: &values, merkle.KindListInternal: &lists, merkle.KindChunkLeaf: &chunks, merkle.KindChunkInternal: &nodes,
	}[kind]
	if body == nil || merkle.DecodeExact(payload, body) != nil {
		return nil, false
	}
	for _, c := range chunks.Chunks {
		list = append(list, child{c.Hash, true})
	}
	for _, of := range [][]cid.Hash{values.Values, lists.Children, nodes.Children} {
		for _, h := range of {
			list = append(list, child{h, false})
		}
	}
	return list, true
}

// closure returns root and everything that belongs to it, each once, children
// after their parents. An object that is missing is an error, but for the values
// of a list: that they are content is its reader's business.
func closure(ctx context.Context, s cas.Store, root cid.Hash) ([]cid.Hash, error) {
	all := []cid.Hash{root}
	seen := map[cid.Hash]bool{root: true}
	parents := []cid.Hash{root}
	for len(parents) > 0 {
		id := parents[len(parents)-1]
		parents = parents[:len(parents)-1]
		b, err := s.Get(ctx, id, maxParent)
		if errors.Is(err, cas.ErrTooLarge) {
			continue
		}
		if errors.Is(err, cas.ErrNotFound) && id != root {
			return nil, lacks(root, id)
		}
		if err != nil {
			return nil, err
		}
		list, _ := children(id, b)
		for _, c := range list {
			if seen[c.id] {
				continue
			}
			seen[c.id] = true
			all = append(all, c.id)
			if !c.leaf {
				parents = append(parents, c.id)
			}
		}
	}
	return all, nil
}

// marking is the first half of a collection.
type marking struct {
	store cas.Store
	items itemSource // the ledger's own objects; nil for none
	keep  func(cid.Hash)
	held  map[cid.Hash]bool // what is in the store
	seen  map[cid.Hash]bool // what was looked at
	work  []cid.Hash
}

type itemSource interface {
	Object(ctx context.Context, id cid.Hash) ([]byte, error)
	Receipt(ctx context.Context, id cid.Hash) ([]byte, error)
}

// add keeps an object, which may name others.
func (m *marking) add(h cid.Hash) {
	if !m.seen[h] {
		m.seen[h] = true
		m.keep(h)
		m.work = append(m.work, h)
	}
}

// mentioned adds every hash in canonical bytes: 32 bytes behind the tag and
// length that all of them have (RFC-MYTHOS-0001 §2). Some may be other things of
// that length; then something is kept that could go.
func (m *marking) mentioned(b []byte) {
	tag := []byte{5, byte(cidSize)}
	for {
		i := bytes.Index(b, tag)
		if i < 0 || len(b) < i+len(tag)+cidSize {
			return
		}
		m.add(cid.Hash(b[i+len(tag):][:cidSize]))
		b = b[i+1:]
	}
}

// finish looks at what was added and at what that names. An object that is
// damaged ends the collection: nobody knows what belongs to it.
func (m *marking) finish(ctx context.Context, progress func(string, int64)) error {
	for len(m.work) > 0 {
		h := m.work[len(m.work)-1]
		m.work = m.work[:len(m.work)-1]
		if err := m.visit(ctx, h); err != nil {
			return err
		}
		if len(m.seen)%1000 == 0 {
			progress("marking", int64(len(m.seen)))
		}
	}
	return nil
}

func (m *marking) visit(ctx context.Context, h cid.Hash) error {
	if !m.held[h] {
		return m.visitItem(ctx, h)
	}
	b, err := m.store.Get(ctx, h, maxParent)
	switch {
	case errors.Is(err, cas.ErrTooLarge), errors.Is(err, cas.ErrNotFound):
		return nil
	case errors.Is(err, cas.ErrCorrupt):
		return fault.New(cas.ErrCorrupt, "what belongs to it cannot be told, so nothing is removed: %w", err).About(h.String())
	case err != nil:
		return err
	}
	list, known := children(h, b)
	if !known {
		m.mentioned(b)
	}
	for _, c := range list {
		if !c.leaf {
			m.add(c.id)
		} else if !m.seen[c.id] {
			m.seen[c.id] = true
			m.keep(c.id)
		}
	}
	return nil
}

// visitItem looks at an object or receipt that is kept beside the ledger.
func (m *marking) visitItem(ctx context.Context, h cid.Hash) error {
	if m.items == nil {
		return nil
	}
	for _, get := range []func(context.Context, cid.Hash) ([]byte, error){m.items.Object, m.items.Receipt} {
		b, err := get(ctx, h)
		if err == nil {
			m.mentioned(b)
		} else if !errors.Is(err, ledger.ErrNoItem) {
			return err
		}
	}
	return nil
}
