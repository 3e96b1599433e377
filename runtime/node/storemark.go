package node

import (
	"bytes"
	"context"
	"errors"
	"io"

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
// harm, so what an object is may be tried here. Of a manifest it is the files of
// large trees as well; if a part of one is missing, the list is of the others.
func children(ctx context.Context, s cas.Store, id cid.Hash, b []byte) (list []child, known bool, err error) {
	if m, other := manifest.Decode(b); other == nil {
		for i := range m.Claims().Artifacts {
			a := &m.Claims().Artifacts[i]
			list = append(list, artifact(a.ID(), a.Kind == manifest.KindTree))
			if a.Kind == manifest.KindTree && !a.ID().Flat() {
				files, failed := largeTree(ctx, s, a.ID())
				list = append(list, files...)
				if err == nil || errors.Is(err, cas.ErrNotFound) && failed != nil {
					err = failed
				}
			}
		}
		return list, true, err
	}
	if t, err := manifest.DecodeTree(b); err == nil {
		return treeChildren(t), true, nil
	}
	kind, payload, err := merkle.OpenNode(id, b)
	if err != nil {
		return nil, false, nil
	}
	list, known = nodeChildren(kind, payload)
	return list, known, nil
}

func treeChildren(t *manifest.Tree) (list []child) {
	for i := range t.Entries {
		list = append(list, artifact(t.Entries[i].ID(), false))
	}
	return list
}

// largeTree returns the files of a tree that is in chunks, none of which says that
// it is a part of one. What is no tree names nothing: no package with it is loaded.
func largeTree(ctx context.Context, s cas.Store, id blob.ArtifactID) ([]child, error) {
	in, err := id.Open(func(h cid.Hash, limit int64) ([]byte, error) { return s.Get(ctx, h, limit) })
	var raw []byte
	if err == nil {
		raw, err = io.ReadAll(io.LimitReader(in, manifest.MaxTreeEncoded+1))
	}
	if err == nil {
		if t, err := manifest.DecodeTree(raw); err == nil {
			return treeChildren(t), nil
		}
		return nil, nil
	}
	switch fault.CodeOf(err) {
	case blob.ErrSize, blob.ErrHash, blob.ErrChunk, cas.ErrTooLarge:
		return nil, nil
	}
	return nil, err
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
		list, _, err := children(ctx, s, id, b)
		if err != nil {
			return nil, err
		}
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
	items []itemSource // the ledgers' own objects
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

const mention = 2 + cidSize // bytes of a hash in canonical bytes, with its tag and length

// mentioned adds every hash in canonical bytes: 32 bytes behind the tag and
// length that all of them have (RFC-MYTHOS-0001 §2). Some may be other things of
// that length; then something is kept that could go.
func (m *marking) mentioned(b []byte) {
	for {
		i := bytes.Index(b, []byte{5, byte(cidSize)})
		if i < 0 || len(b) < i+mention {
			return
		}
		m.add(cid.Hash(b[i+mention-cidSize:][:cidSize]))
		b = b[i+1:]
	}
}

// mentionedBy is mentioned of an object of any size.
func (m *marking) mentionedBy(ctx context.Context, h cid.Hash) (err error) {
	in, _, err := m.store.Open(ctx, h)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	b, kept := make([]byte, 1<<20), 0
	for {
		n, err := io.ReadFull(in, b[kept:])
		end := kept + n
		m.mentioned(b[:end])
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
		kept = copy(b, b[end-mention+1:end]) // the next bytes may complete one
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
	if errors.Is(err, cas.ErrTooLarge) {
		return readable(h, m.mentionedBy(ctx, h))
	}
	if err != nil {
		return readable(h, err)
	}
	list, known, err := children(ctx, m.store, h, b)
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
	return readable(h, err)
}

// readable is the error of reading an object that may name others: none if a part
// of it is gone.
func readable(h cid.Hash, err error) error {
	switch {
	case errors.Is(err, cas.ErrCorrupt):
		return fault.New(cas.ErrCorrupt, "what belongs to it cannot be told, so nothing is removed: %w", err).About(h.String())
	case errors.Is(err, cas.ErrNotFound):
		return nil
	}
	return err
}

// visitItem looks at an object or receipt that is kept beside a ledger.
func (m *marking) visitItem(ctx context.Context, h cid.Hash) error {
	for _, x := range m.items {
		for _, get := range []func(context.Context, cid.Hash) ([]byte, error){x.Object, x.Receipt} {
			b, err := get(ctx, h)
			if err == nil {
				m.mentioned(b)
			} else if !errors.Is(err, ledger.ErrNoItem) {
				return err
			}
		}
	}
	return nil
}
